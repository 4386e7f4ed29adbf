// A browser tab that is reloaded, as the platform's console does it: the
// shell of a closed WebSocket stays, AcquireSession gives a lock, and Shell
// with the same session-id and that lock is the shell again.
//
//   node reload.js '{"target": ..., "ca": file, "name": ..., "rounds": 5}'
//
// Prints one JSON object: what each round saw, and how the calls ended.
'use strict';

const fs = require('fs');
const path = require('path');

const modules = process.env.K8SHELL_NODE_MODULES ||
    path.join(__dirname, '..', '..', '..', 'build', 'node', 'node_modules');
const grpc = require(path.join(modules, '@grpc', 'grpc-js'));
const loader = require(path.join(modules, '@grpc', 'proto-loader'));

const ask = JSON.parse(process.argv[2]);
const file = path.join(__dirname, '..', '..', '..', 'proto', 'ssh.proto');
const pkg = grpc.loadPackageDefinition(loader.loadSync(file,
    {keepCase: true, oneofs: true, defaults: true, enums: String})).k8shelld;
const Service = Object.values(pkg).find((v) => v.service && v.service.Shell);
const client = new Service(ask.target, ask.ca ?
    grpc.credentials.createSsl(fs.readFileSync(ask.ca)) :
    grpc.credentials.createInsecure(), ask.name ? {
      'grpc.ssl_target_name_override': ask.name,
      'grpc.default_authority': ask.name,
    } : {});
const ID = 'ws-js-tab-1';

function metadata() {
  const m = new grpc.Metadata();
  m.set('session-id', ID);
  return m;
}

function unary(method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, metadata(), {deadline: Date.now() + 10000},
        (err, reply) => err ? reject(err) : resolve(reply));
  });
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(check, what) {
  const end = Date.now() + 20000;
  for (;;) {
    const value = await check();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error('not in 20 s: ' + what);
    }
    await pause(10);
  }
}

// One Shell call and all it has said.
class Tab {
  constructor(more) {
    this.text = '';
    this.first = null;
    this.terminate = false;
    this.status = null;
    this.call = client.Shell(metadata());
    this.call.on('data', (m) => {
      this.first = this.first || m.response;
      this.terminate = m.response === 'terminate' && m.terminate;
      this.text += m.response === 'data' ? m.data.toString('latin1') : '';
    });
    this.call.on('error', () => {});
    this.call.on('status', (s) => { this.status = s.code; });
    this.call.write({start_request: Object.assign({usePty: true, width: 80,
      height: 24, cmdShell: '/bin/sh', detach_on_close: true}, more)});
  }

  type(text) {
    this.call.write({data: Buffer.from(text)});
  }

  async expect(text) {
    await until(() => this.text.includes(text) || this.status !== null, text);
    if (!this.text.includes(text)) {
      throw new Error('ended with ' + this.status + ' before ' + text);
    }
  }

  async ended() {
    await until(() => this.status !== null, 'the end');
    return this.status;
  }
}

async function lock() {
  const reply = await until(async () => {
    const r = await unary('AcquireSession', {session_id: ID});
    return r.success ? r : null;
  }, 'a lock');
  return reply.lock_id;
}

async function main() {
  const result = {rounds: []};
  let tab = new Tab({});
  for (let i = 0; i < ask.rounds; i++) {
    tab.type("echo ro''und" + i + '\n');
    await tab.expect('round' + i);
    const old = tab;
    old.call.cancel();                  // the WebSocket has closed
    const id = await lock();
    const listed = (await unary('ListSessions', {})).sessions.length;
    tab = new Tab({lock_id: id});
    await tab.expect('round' + i);
    const again = new Tab({lock_id: id});
    result.rounds.push({old: await old.ended(), listed, first: tab.first,
      again: await again.ended(), taken: (await unary('AcquireSession',
          {session_id: ID})).failure_reason,
      seen: tab.text.match(/round\d+/g)});
  }
  await unary('ResizeTerminal', {width: 99, height: 33});
  tab.type('stty size; exit\n');
  await tab.expect('33 99');
  result.code = await tab.ended();
  result.terminate = tab.terminate;
  return result;
}

main().then((result) => {
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}, (err) => {
  process.stderr.write(err.stack + '\n', () => process.exit(1));
});
