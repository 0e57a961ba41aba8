insert into products (sku, name, description, price_cents, stock) values
  ('kettle',   'Kettle',        'Boils a litre of water in two minutes',   3490, 25),
  ('teapot',   'Teapot',        'Stoneware, short and stout',              2850, 12),
  ('cup',      'Cup',           'Holds a quarter of a litre',               790, 200),
  ('sencha',   'Sencha',        'Green tea, 100 g',                         990, 80),
  ('darjeeling', 'Darjeeling',  'Black tea, first flush, 100 g',           1250, 60),
  ('strainer', 'Tea strainer',  'Stainless steel',                          650, 40);
