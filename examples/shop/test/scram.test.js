import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Scram } from '../pg/scram.js';

// The example of RFC 7677.
const server1 = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';
const client2 = 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
const server2 = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';
const start = () => new Scram('pencil', { user: 'user', nonce: 'rOprNGfwEbeRWgbNEkqO' });

test('SCRAM-SHA-256', async () => {
  const scram = start();
  assert.equal(scram.start(), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
  assert.equal(await scram.respond(server1), client2);
  // Whoever is there must know the password too.
  assert.throws(() => scram.finish(server2.replace('6rri', '6rrj')), /prove/);
  assert.ok(!scram.finished);
  scram.finish(server2);
  assert.ok(scram.finished);
});

test('SCRAM refuses what is no answer', async () => {
  assert.throws(() => start().finish(server2), /prove/);
  await assert.rejects(start().respond(server1.replace('r=rOpr', 'r=xOpr')), /another nonce/);
  await assert.rejects(start().respond(server1.replace('i=4096', 'i=99999999')), /invalid challenge/);
});
