create table products (
  id          integer generated always as identity primary key,
  sku         text    not null unique check (sku ~ '^[a-z0-9-]{1,40}$'),
  name        text    not null check (name <> ''),
  description text    not null default '',
  price_cents integer not null check (price_cents >= 0),
  stock       integer not null check (stock >= 0)
);

create table carts (
  id         uuid        primary key default gen_random_uuid(),
  created_at timestamptz not null default now()
);

create table cart_items (
  cart_id    uuid    not null references carts on delete cascade,
  product_id integer not null references products,
  quantity   integer not null check (quantity between 1 and 100),
  primary key (cart_id, product_id)
);

-- One order for each cart: a check-out that is asked for twice is done once.
create table orders (
  id          uuid        primary key default gen_random_uuid(),
  cart_id     uuid        not null unique references carts,
  email       text        not null check (email like '%_@_%'),
  total_cents bigint      not null check (total_cents >= 0),
  created_at  timestamptz not null default now()
);

-- Name and price as they were: products change, orders do not.
create table order_items (
  order_id    uuid    not null references orders on delete cascade,
  product_id  integer not null references products,
  name        text    not null,
  price_cents integer not null,
  quantity    integer not null check (quantity > 0),
  primary key (order_id, product_id)
);
