// A second gRPC stack: @grpc/grpc-js runs what the test asks for.
//
//   node client.js '{"target": ..., "ca": file, "name": ..., "token": ...,
//                    "method": "Exec", "metadata": {...}, "send": [...],
//                    "end": true, "deadline": ms, "cancel_after": n}'
//
// Prints one JSON object: the messages in order (bytes as base64), the status
// code, its text, and the error of the call if there was one.
'use strict';

const fs = require('fs');
const path = require('path');

// Packages live in build/node: nothing downloaded is in the sources.
const modules = process.env.K8SHELL_NODE_MODULES ||
    path.join(__dirname, '..', '..', '..', 'build', 'node', 'node_modules');
const grpc = require(path.join(modules, '@grpc', 'grpc-js'));
const loader = require(path.join(modules, '@grpc', 'proto-loader'));

const ask = JSON.parse(process.argv[2]);
const root = path.join(__dirname, '..', '..', '..', 'proto');

function service(method) {
  for (const file of ['ssh', 'system', 'app', 'command']) {
    const def = loader.loadSync(path.join(root, file + '.proto'),
        {keepCase: true, oneofs: true, defaults: false, enums: String});
    const pkg = grpc.loadPackageDefinition(def).k8shelld;
    for (const name of Object.keys(pkg)) {
      const s = pkg[name].service;
      if (s && (s[method] || name + '.' + method === ask.method)) {
        return {client: pkg[name], method: s[method]};
      }
    }
  }
  throw new Error('no method ' + method);
}

function metadata() {
  const m = new grpc.Metadata();
  for (const [k, v] of Object.entries(ask.metadata || {})) {
    m.set(k, v);
  }
  if (ask.token) {
    m.set('authorization', 'Bearer ' + ask.token);
  }
  return m;
}

// {"$bytes": base64} becomes a Buffer on the way in, the reverse on the way out.
function revive(key, value) {
  return value && value.$bytes !== undefined ?
      Buffer.from(value.$bytes, 'base64') : value;
}

function show(value) {
  if (Buffer.isBuffer(value)) {
    return {$bytes: value.toString('base64')};
  }
  if (value && typeof value === 'object') {
    const out = {};
    for (const k of Object.keys(value)) {
      out[k] = show(value[k]);
    }
    return out;
  }
  return value;
}

const {client, method} = service(ask.method.split('.').pop());
const creds = ask.ca ?
    grpc.credentials.createSsl(fs.readFileSync(ask.ca)) :
    grpc.credentials.createInsecure();
const options = ask.name ? {
  'grpc.ssl_target_name_override': ask.name,
  'grpc.default_authority': ask.name,
} : {};
const stub = new client(ask.target, creds, options);
const call = {deadline: Date.now() + (ask.deadline || 20000)};
const send = JSON.parse(JSON.stringify(ask.send || [{}]), revive);
const result = {messages: [], code: null, details: ''};

function done(status) {
  result.code = status.code;
  result.details = status.details;
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}

if (!method.requestStream && !method.responseStream) {
  const c = stub[ask.method.split('.').pop()](send[0], metadata(), call,
      (err, reply) => {
        if (reply) {
          result.messages.push(show(reply));
        }
      });
  c.on('status', done);
} else {
  const name = ask.method.split('.').pop();
  const stream = method.requestStream ? stub[name](metadata(), call) :
      stub[name](send[0], metadata(), call);
  stream.on('data', (m) => {
    result.messages.push(show(m));
    if (ask.cancel_after && result.messages.length >= ask.cancel_after) {
      stream.cancel();
    }
  });
  stream.on('error', () => {});
  stream.on('status', done);
  if (method.requestStream) {
    for (const m of send) {
      stream.write(m);
    }
    if (ask.end !== false) {
      stream.end();
    }
  }
}
