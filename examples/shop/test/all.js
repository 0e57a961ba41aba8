// All tests in one process: `node --test` would start one for each file, which
// takes most of the time where the processor is emulated.

import './scram.test.js';
import './client.test.js';
import './shop.test.js';
import './http.test.js';
