// Values of JavaScript and of PostgreSQL, which are exchanged as text.

const integer = (text) => {
  const n = Number(text);
  return Number.isSafeInteger(n) ? n : BigInt(text);
};

const special = { infinity: Infinity, '-infinity': -Infinity };

/** By the type's OID (pg_type.dat); all others stay text, numeric among them. */
const decoders = new Map([
  [16, (text) => text === 't'], // bool
  [17, (text) => Buffer.from(text.slice(2), 'hex')], // bytea
  [20, integer], // int8
  [21, Number], // int2
  [23, Number], // int4
  [26, Number], // oid
  [114, JSON.parse], // json
  [700, Number], // float4
  [701, Number], // float8
  [1184, (text) => special[text] ?? new Date(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'))], // timestamptz
  [3802, JSON.parse], // jsonb
]);

export function decode(oid, text) {
  const decoder = decoders.get(oid);
  return decoder ? decoder(text) : text;
}

/** Returns a parameter as text, or null. */
export function encode(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}
