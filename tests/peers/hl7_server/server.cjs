// simple-hl7 as its own example runs it: parse, then acknowledge. node server.cjs PORT, with NODE_PATH to its packages.
'use strict';
const hl7 = require('simple-hl7');

const app = hl7.tcp();
app.use((req, res, next) => next());
app.use((req, res) => res.end());
app.start(Number(process.argv[2]));
