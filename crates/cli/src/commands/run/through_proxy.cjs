// Made by `strongroom run --broker` for as long as its command lasts. Node's own clients don't heed
// HTTPS_PROXY before Node 24; this has its http and https agents and its fetch do so.
'use strict';

const address = process.env.HTTPS_PROXY || process.env.https_proxy;
if (address && !process.allowedNodeEnvironmentFlags.has('--use-env-proxy')) {
  goThrough(new URL(address));
}

function goThrough(proxy) {
  const http = require('node:http');
  const https = require('node:https');
  const net = require('node:net');
  const tls = require('node:tls');
  const { Duplex } = require('node:stream');

  const door = { host: proxy.hostname.replace(/^\[|\]$/g, ''), port: Number(proxy.port || 80) };
  const login = Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`);
  const authorization = { 'proxy-authorization': `Basic ${login.toString('base64')}` };
  const except = (process.env.NO_PROXY || process.env.no_proxy || '').toLowerCase().split(/[\s,]+/);

  function isDirect(host, port) {
    const name = host.toLowerCase().replace(/^\[|\]$/g, '');
    return except.filter(Boolean).some((entry) => {
      const [, own, ownPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry.split(':').length > 2 ? `[${entry}]` : entry);
      const end = own.replace(/^\*?\.?/, '');
      return (!ownPort || ownPort === String(port)) && (end === '' || name === end || name.endsWith(`.${end}`));
    });
  }

  // A stream to a host, by CONNECT; what is written before it is open waits.
  function tunnel(host, port) {
    let far;
    return new Duplex({
      construct(done) {
        const path = `${host.includes(':') ? `[${host}]` : host}:${port}`;
        const createConnection = () => net.connect(door);
        const headers = { host: path, ...authorization };
        const asked = http.request({ method: 'CONNECT', path, headers, createConnection });
        asked.once('error', done).end();
        asked.once('connect', (answer, socket, head) => {
          if (answer.statusCode !== 200) {
            socket.destroy();
            return done(new Error(`the proxy refused a tunnel to ${path}: ${answer.statusCode}`));
          }
          far = socket;
          if (head.length > 0) far.unshift(head);
          far.on('data', (chunk) => this.push(chunk) || far.pause());
          far.on('end', () => this.push(null));
          far.on('error', (error) => this.destroy(error));
          far.on('close', () => this.destroy());
          this.emit('open', far);
          return done();
        });
      },
      read() { far.resume(); },
      write(chunk, _encoding, done) { far.write(chunk, done); },
      final(done) { far.end(done); },
      destroy(error, done) { far?.destroy(); done(error); },
    });
  }

  // Gives a connection that nobody waits for no say in when the program ends.
  function follow(secure, stream) {
    let far, held = true;
    stream.once('open', (socket) => { far = socket; if (!held) far.unref(); });
    for (const [name, holds] of [['ref', true], ['unref', false]]) {
      const own = secure[name];
      secure[name] = function () { held = holds; far?.[name](); return own.call(this); };
    }
    return secure;
  }

  const connectSecurely = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function (options, ...rest) {
    const host = options.host || 'localhost', port = options.port || 443;
    const taken = typeof options !== 'object' || options.socket || options.socketPath || isDirect(host, port);
    if (taken) return connectSecurely.call(this, options, ...rest);
    const socket = tunnel(host, port);
    return follow(connectSecurely.call(this, { ...options, socket }, ...rest), socket);
  };

  // A request without TLS goes to the proxy itself, with its whole URL.
  const addRequest = http.Agent.prototype.addRequest;
  http.Agent.prototype.addRequest = function (request, options, ...rest) {
    const host = options.host || 'localhost', port = options.port || 80;
    const plain = request.protocol === 'http:' && request.path.startsWith('/') && !options.socketPath;
    if (!plain || isDirect(host, port)) return addRequest.call(this, request, options, ...rest);
    request.path = `http://${request.getHeader('host') || `${host}:${port}`}${request.path}`;
    request.setHeader('proxy-authorization', authorization['proxy-authorization']);
    return addRequest.call(this, request, { ...options, ...door }, ...rest);
  };

  // To touch it loads what fetch is made of, and that makes the dispatcher.
  void globalThis.Response;
  const known = Symbol.for('undici.globalDispatcher.1');
  const direct = globalThis[known];
  if (!direct) return;
  globalThis[known] = new (class extends direct.constructor {
    dispatch(options, handler) {
      const { protocol, hostname, port, host, origin } = new URL(options.origin);
      if (isDirect(hostname, port || (protocol === 'https:' ? 443 : 80))) return direct.dispatch(options, handler);
      if (protocol === 'https:') return super.dispatch(options, handler);
      const headers = { ...options.headers, host, ...authorization };
      return super.dispatch({ ...options, origin: proxy.origin, path: origin + options.path, headers }, handler);
    }
  })({
    connect({ protocol, hostname, port, servername }, done) {
      const stream = protocol === 'https:' ? tunnel(hostname, port || 443) : net.connect(door);
      const secure = { socket: stream, servername: servername || hostname, ALPNProtocols: ['http/1.1'] };
      const socket = protocol === 'https:' ? follow(tls.connect(secure), stream) : stream;
      socket.once('error', done);
      socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        socket.off('error', done);
        done(null, socket);
      });
    },
  });
}
