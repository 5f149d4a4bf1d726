// A gRPC peer in Node.js for the interoperability tests: a server, or a client that runs the official cases.
//
//   node interop.js server <test.proto> <certificate.pem> <key.pem>   prints "port <plain> <tls>", serves until its standard input closes
//   node interop.js client <test.proto> <address> [<roots.pem>]       prints "<case> ok" or "<case> failed: <why>" for every case
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const ECHO_INITIAL = 'x-grpc-test-echo-initial';
const ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin';

function load(proto) {
  return grpc.loadPackageDefinition(protoLoader.loadSync(proto, { keepCase: true, defaults: true })).grpc.testing;
}

const zeros = (size) => ({ body: Buffer.alloc(size) });

// --- Server

function echoMetadata(call) {
  const headers = new grpc.Metadata();
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(ECHO_INITIAL)) headers.add(ECHO_INITIAL, value);
  for (const value of call.metadata.get(ECHO_TRAILING)) trailers.add(ECHO_TRAILING, value);
  if (headers.get(ECHO_INITIAL).length > 0) call.sendMetadata(headers);
  return trailers;
}

const isAsked = (status) => status && status.code !== 0;

async function respond(call, request) {
  for (const parameters of request.response_parameters) {
    if (parameters.interval_us > 0) await sleep(parameters.interval_us / 1000);
    call.write({ payload: zeros(parameters.size) });
  }
}

const service = {
  EmptyCall: (call, callback) => callback(null, {}),

  UnaryCall(call, callback) {
    const trailers = echoMetadata(call);
    const status = call.request.response_status;
    if (isAsked(status)) callback({ code: status.code, details: status.message, metadata: trailers });
    else callback(null, { payload: zeros(call.request.response_size) }, trailers);
  },

  StreamingInputCall(call, callback) {
    let size = 0;
    call.on('data', (request) => (size += request.payload.body.length));
    call.on('end', () => callback(null, { aggregated_payload_size: size }));
  },

  async StreamingOutputCall(call) {
    await respond(call, call.request);
    call.end();
  },

  FullDuplexCall(call) {
    const trailers = echoMetadata(call);
    let last = Promise.resolve();
    let failed = false;
    call.on('data', (request) => {
      const status = request.response_status;
      if (isAsked(status)) {
        failed = true;
        call.emit('error', { code: status.code, details: status.message, metadata: trailers });
      } else {
        last = last.then(() => respond(call, request));
      }
    });
    call.on('end', () => last.then(() => failed || call.end(trailers)));
  },
};

async function serve(proto, certificate, key) {
  const server = new grpc.Server();
  server.addService(load(proto).TestService.service, service);
  const bind = (credentials) =>
    new Promise((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port))));
  const plain = await bind(grpc.ServerCredentials.createInsecure());
  const tls = await bind(grpc.ServerCredentials.createSsl(
    null, [{ private_key: fs.readFileSync(key), cert_chain: fs.readFileSync(certificate) }]));
  console.log(`port ${plain} ${tls}`);
  process.stdin.on('end', () => server.forceShutdown()).resume();
}

// --- Client

const soon = (ms = 20000) => ({ deadline: Date.now() + ms });

function unary(client, method, request, { metadata = new grpc.Metadata(), options = soon() } = {}) {
  return new Promise((resolve) => {
    const result = { headers: null, status: null, response: null };
    const call = client[method](request, metadata, options, (error, response) => (result.response = response ?? null));
    call.on('metadata', (headers) => (result.headers = headers));
    call.on('status', (status) => {
      result.status = status;
      // The callback has run by the next turn of the event loop.
      setImmediate(() => resolve(result));
    });
  });
}

function watch(call) {
  const state = { received: [], headers: null, waiting: null };
  call.on('metadata', (headers) => (state.headers = headers));
  call.on('data', (response) => {
    state.received.push(response);
    state.waiting?.();
  });
  call.on('error', () => {});
  state.status = new Promise((resolve) => call.on('status', resolve));
  state.next = () => new Promise((resolve) => (state.waiting = resolve));
  return state;
}

const ask = (sent, wanted, intervalUs = 0) => ({
  response_parameters: [{ size: wanted, interval_us: intervalUs }],
  payload: zeros(sent),
});

function requireEcho(headers, trailers) {
  assert.deepStrictEqual(headers.get(ECHO_INITIAL), ['test_initial_metadata_value']);
  assert.deepStrictEqual(trailers.get(ECHO_TRAILING), [Buffer.from([0xab, 0xab, 0xab])]);
}

async function statusCodeAndMessage(client, message) {
  const response_status = { code: grpc.status.UNKNOWN, message };
  const { status } = await unary(client, 'UnaryCall', { response_status });
  assert.deepStrictEqual([status.code, status.details], [grpc.status.UNKNOWN, message]);

  const call = client.FullDuplexCall(soon());
  const stream = watch(call);
  call.write({ response_status });
  call.end();
  const streamed = await stream.status;
  assert.deepStrictEqual([streamed.code, streamed.details], [grpc.status.UNKNOWN, message]);
}

const cases = {
  async empty_unary(client) {
    assert.strictEqual((await unary(client, 'EmptyCall', {})).status.code, grpc.status.OK);
  },

  async large_unary(client) {
    const { status, response } = await unary(client, 'UnaryCall', { response_size: 314159, payload: zeros(271828) });
    assert.strictEqual(status.code, grpc.status.OK);
    assert.ok(response.payload.body.equals(Buffer.alloc(314159)));
  },

  async client_streaming(client) {
    const response = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall(soon(), (error, message) => (error ? reject(error) : resolve(message)));
      for (const size of [27182, 8, 1828, 45904]) call.write({ payload: zeros(size) });
      call.end();
    });
    assert.strictEqual(response.aggregated_payload_size, 74922);
  },

  async server_streaming(client) {
    const sizes = [31415, 9, 2653, 58979];
    const stream = watch(client.StreamingOutputCall({ response_parameters: sizes.map((size) => ({ size })) }, soon()));
    assert.strictEqual((await stream.status).code, grpc.status.OK);
    assert.deepStrictEqual(stream.received.map((response) => response.payload.body.length), sizes);
  },

  async ping_pong(client) {
    const call = client.FullDuplexCall(soon());
    const stream = watch(call);
    for (const [sent, wanted] of [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]]) {
      const next = stream.next();
      call.write(ask(sent, wanted));
      await next;
      assert.strictEqual(stream.received.at(-1).payload.body.length, wanted);
    }
    call.end();
    assert.strictEqual((await stream.status).code, grpc.status.OK);
    assert.strictEqual(stream.received.length, 4);
  },

  async empty_stream(client) {
    const call = client.FullDuplexCall(soon());
    const stream = watch(call);
    call.end();
    assert.strictEqual((await stream.status).code, grpc.status.OK);
    assert.strictEqual(stream.received.length, 0);
  },

  async cancel_after_begin(client) {
    const error = await new Promise((resolve) => client.StreamingInputCall(soon(), resolve).cancel());
    assert.strictEqual(error.code, grpc.status.CANCELLED);
  },

  async cancel_after_first_response(client) {
    const call = client.FullDuplexCall(soon());
    const stream = watch(call);
    const next = stream.next();
    call.write(ask(27182, 31415));
    await next;
    call.cancel();
    assert.strictEqual((await stream.status).code, grpc.status.CANCELLED);
  },

  async timeout_on_sleeping_server(client) {
    const call = client.FullDuplexCall(soon(20));
    const stream = watch(call);
    call.write(ask(27182, 31415, 2000000));
    assert.strictEqual((await stream.status).code, grpc.status.DEADLINE_EXCEEDED);
  },

  async custom_metadata(client) {
    const metadata = new grpc.Metadata();
    metadata.set(ECHO_INITIAL, 'test_initial_metadata_value');
    metadata.set(ECHO_TRAILING, Buffer.from([0xab, 0xab, 0xab]));
    const { headers, status } = await unary(client, 'UnaryCall', {}, { metadata });
    requireEcho(headers, status.metadata);

    const call = client.FullDuplexCall(metadata, soon());
    const stream = watch(call);
    call.write(ask(0, 5));
    call.end();
    requireEcho(stream.headers ?? (await stream.status, stream.headers), (await stream.status).metadata);
  },

  status_code_and_message: (client) => statusCodeAndMessage(client, 'test status message'),

  special_status_message: (client) =>
    statusCodeAndMessage(client, '\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \u{1F608}\t\n'),

  async unimplemented_method(client) {
    assert.strictEqual((await unary(client, 'UnimplementedCall', {})).status.code, grpc.status.UNIMPLEMENTED);
  },

  async unimplemented_service(client, unimplemented) {
    assert.strictEqual((await unary(unimplemented, 'UnimplementedCall', {})).status.code, grpc.status.UNIMPLEMENTED);
  },
};

async function call(proto, address, roots) {
  const testing = load(proto);
  const credentials = roots ? grpc.credentials.createSsl(fs.readFileSync(roots)) : grpc.credentials.createInsecure();
  const client = new testing.TestService(address, credentials);
  const unimplemented = new testing.UnimplementedService(address, credentials);
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run(client, unimplemented);
      console.log(`${name} ok`);
    } catch (failure) {
      console.log(`${name} failed: ${String(failure.message).replaceAll('\n', ' ')}`);
    }
  }

  // The timers of cancelled calls would keep the process alive until their deadlines.
  process.exit();
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'server') serve(...args);
else if (mode === 'client') call(...args);
else throw new Error('The first argument must be "server" or "client".');
