const byId = (id) => document.getElementById(id);
const money = (cents) => (cents / 100).toFixed(2);

async function api(method, path, body) {
  const response = await fetch(`/api${path}`, {
    method,
    headers: body && { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const value = await response.json();
  if (!response.ok) throw new Error(value.error.message);
  return value;
}

function entry(text, label, action) {
  const li = document.createElement('li');
  const span = document.createElement('span');
  const button = document.createElement('button');
  span.textContent = text;
  button.textContent = label;
  button.addEventListener('click', () => attempt(action));
  li.append(span, button);
  return li;
}

async function attempt(action) {
  byId('message').textContent = '';
  try {
    await action();
  } catch (err) {
    byId('message').textContent = err.message;
  }
}

let cart = null;

async function put(sku, quantity) {
  cart ??= await api('POST', '/carts');
  cart = await api('PUT', `/carts/${cart.id}/items/${sku}`, { quantity });
  showCart();
}

function showCart() {
  const items = cart?.items ?? [];
  byId('cart').replaceChildren(...items.map((i) => entry(`${i.quantity} × ${i.name}`, 'Remove', () => put(i.sku, 0))));
  byId('total').textContent = money(cart?.totalCents ?? 0);
}

async function showProducts() {
  const products = await api('GET', '/products');
  byId('products').replaceChildren(
    ...products.map((p) =>
      entry(`${p.name}, ${money(p.priceCents)} (${p.stock} left)`, 'Add', () => {
        const had = cart?.items.find((i) => i.sku === p.sku)?.quantity ?? 0;
        return put(p.sku, had + 1);
      }),
    ),
  );
}

byId('checkout').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(async () => {
    if (!cart) throw new Error('the cart is empty');
    const order = await api('POST', `/carts/${cart.id}/checkout`, { email: new FormData(event.target).get('email') });
    cart = null;
    showCart();
    await showProducts();
    byId('message').textContent = `Thank you! Your order is ${order.id}.`;
  });
});

attempt(showProducts);
