// What the shop does, over a pool of connections to its database.

/** Something that a customer asked for and that cannot be. */
export class ShopError extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    this.name = 'ShopError';
    this.status = status; // of HTTP
    this.code = code;
    this.details = details;
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const EMAIL = /^[^\s@]+@[^\s@]+$/;
export const MAX_QUANTITY = 100;

const product = (r) => ({ sku: r.sku, name: r.name, description: r.description, priceCents: r.price_cents, stock: r.stock });

export class Shop {
  #pool;

  constructor(pool) {
    this.#pool = pool;
  }

  /** The products whose name or description has the words, by name. */
  async products(words = '') {
    const { rows } = await this.#pool.query(
      `select * from products where strpos(lower(name || ' ' || description), lower($1)) > 0 order by name, id`,
      [words.trim()],
    );
    return rows.map(product);
  }

  async product(sku) {
    const { rows } = await this.#pool.query('select * from products where sku = $1', [sku]);
    if (!rows.length) throw new ShopError(404, 'product_unknown', `there is no product ${sku}`);
    return product(rows[0]);
  }

  /** Makes an empty cart. Who knows its id may use it. */
  async createCart() {
    const { rows } = await this.#pool.query('insert into carts default values returning id', []);
    return this.cart(rows[0].id);
  }

  async cart(id) {
    checkId(id, 'cart');
    const { rows } = await this.#pool.query(
      `select c.id, o.id as order_id, p.sku, p.name, p.price_cents, i.quantity
         from carts c
         left join orders o on o.cart_id = c.id
         left join cart_items i on i.cart_id = c.id
         left join products p on p.id = i.product_id
        where c.id = $1 order by p.name, p.id`,
      [id],
    );
    if (!rows.length) throw unknown('cart', id);
    const items = rows.filter((r) => r.sku !== null).map(item);
    return { id, orderId: rows[0].order_id, items, totalCents: total(items) };
  }

  /** Sets how many of a product are in a cart; 0 takes it out. */
  async setQuantity(cartId, sku, quantity) {
    checkId(cartId, 'cart');
    if (!Number.isInteger(quantity) || quantity < 0 || quantity > MAX_QUANTITY) {
      throw new ShopError(400, 'quantity_invalid', `a quantity is a whole number from 0 to ${MAX_QUANTITY}`);
    }
    await this.#pool.transaction(async (c) => {
      await openCart(c, cartId);
      const { rows } = await c.query('select id from products where sku = $1', [sku]);
      if (!rows.length) throw new ShopError(404, 'product_unknown', `there is no product ${sku}`);
      const key = [cartId, rows[0].id];
      if (quantity === 0) {
        await c.query('delete from cart_items where cart_id = $1 and product_id = $2', key);
      } else {
        await c.query(
          `insert into cart_items (cart_id, product_id, quantity) values ($1, $2, $3)
           on conflict (cart_id, product_id) do update set quantity = excluded.quantity`,
          [...key, quantity],
        );
      }
    });
    return this.cart(cartId);
  }

  /**
   * Turns a cart into an order and takes its products out of the stock: all of
   * them or none, whoever else buys at the same time. A cart that was checked
   * out already has its order returned.
   */
  async checkout(cartId, email) {
    checkId(cartId, 'cart');
    if (typeof email !== 'string' || email.length > 254 || !EMAIL.test(email)) {
      throw new ShopError(400, 'email_invalid', 'an order needs an e-mail address');
    }
    const orderId = await this.#pool.transaction(async (c) => {
      const ordered = await lockCart(c, cartId);
      if (ordered) return ordered;
      // The rows are locked in one order everywhere, so that two check-outs wait
      // for each other instead of dead-locking.
      const { rows } = await c.query(
        `select p.id, p.sku, p.name, p.price_cents, p.stock, i.quantity
           from cart_items i join products p on p.id = i.product_id
          where i.cart_id = $1 order by p.id for update of p`,
        [cartId],
      );
      if (!rows.length) throw new ShopError(409, 'cart_empty', 'the cart is empty');
      const short = rows.filter((r) => r.stock < r.quantity);
      if (short.length) {
        throw new ShopError(409, 'out_of_stock', `there is not enough of ${short.map((r) => r.name).join(', ')}`, {
          items: short.map((r) => ({ sku: r.sku, wanted: r.quantity, stock: r.stock })),
        });
      }
      await c.query(
        `update products p set stock = stock - i.quantity
           from cart_items i where i.product_id = p.id and i.cart_id = $1`,
        [cartId],
      );
      const order = await c.query('insert into orders (cart_id, email, total_cents) values ($1, $2, $3) returning id', [
        cartId,
        email,
        total(rows.map(item)),
      ]);
      await c.query(
        `insert into order_items (order_id, product_id, name, price_cents, quantity)
         select $1::uuid, p.id, p.name, p.price_cents, i.quantity
           from cart_items i join products p on p.id = i.product_id where i.cart_id = $2`,
        [order.rows[0].id, cartId],
      );
      return order.rows[0].id;
    });
    return this.order(orderId);
  }

  async order(id) {
    checkId(id, 'order');
    const { rows } = await this.#pool.query(
      `select o.email, o.total_cents, o.created_at, p.sku, i.name, i.price_cents, i.quantity
         from orders o join order_items i on i.order_id = o.id join products p on p.id = i.product_id
        where o.id = $1 order by i.name, p.id`,
      [id],
    );
    if (!rows.length) throw unknown('order', id);
    const { email, total_cents: totalCents, created_at: createdAt } = rows[0];
    return { id, email, createdAt, items: rows.map(item), totalCents };
  }

  /** Fails unless the database answers; returns its version. */
  async health() {
    const { rows } = await this.#pool.query('show server_version');
    return rows[0].server_version;
  }
}

const item = (r) => ({ sku: r.sku, name: r.name, priceCents: r.price_cents, quantity: r.quantity });
const total = (items) => items.reduce((sum, i) => sum + i.priceCents * i.quantity, 0);
const unknown = (what, id) => new ShopError(404, `${what}_unknown`, `there is no ${what} ${id}`);

function checkId(id, what) {
  if (!UUID.test(id)) throw unknown(what, id);
}

/** Locks a cart and returns its order's id; null where there is none yet. */
async function lockCart(c, id) {
  const { rows } = await c.query('select id from carts where id = $1 for update', [id]);
  if (!rows.length) throw unknown('cart', id);
  const orders = await c.query('select id from orders where cart_id = $1', [id]);
  return orders.rows[0]?.id ?? null;
}

/** Locks a cart that was not checked out yet. */
async function openCart(c, id) {
  if (await lockCart(c, id)) throw new ShopError(409, 'cart_ordered', 'the cart has been ordered already');
}
