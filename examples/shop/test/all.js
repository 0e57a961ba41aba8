// All tests in one process: `node --test` would start one for each file, which
// takes most of the time where the processor is emulated. For the same reason they
// are run without the engine's compilers (--no-opt --no-sparkplug): what runs for
// seconds does not earn back the time that compiling it takes.

import './scram.test.js';
import './client.test.js';
import './shop.test.js';
import './http.test.js';
