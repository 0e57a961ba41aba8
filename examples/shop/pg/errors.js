/** An error that the server reports. Its code is an SQLSTATE, such as '23505'. */
export class DatabaseError extends Error {
  constructor(fields) {
    super(fields.M ?? 'the server reports an error without a message');
    this.name = 'DatabaseError';
    this.severity = fields.V ?? fields.S;
    this.code = fields.C;
    this.detail = fields.D;
    this.hint = fields.H;
    this.table = fields.t;
    this.column = fields.c;
    this.constraint = fields.n;
    this.position = fields.P === undefined ? undefined : Number(fields.P);
  }
}

/** The connection could not be made, or is gone. */
export class ConnectionError extends Error {
  constructor(message, cause) {
    super(message, { cause });
    this.name = 'ConnectionError';
  }
}
