// A front end in the hands of a test: it does what it is told on its standard input, a line of JSON each, and says what it
// gets on its standard output.
import readline from 'node:readline';
import { io } from 'socket.io-client';

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
let socket;

const orders = {
  connect({ url, ...options }) {
    socket = io(url, { reconnection: false, forceNew: true, ...options });
    socket.on('connect', () => say({ said: 'connect', transport: socket.io.engine.transport.name }));
    socket.on('connect_error', (error) => say({ said: 'refused', message: error.message }));
    socket.on('disconnect', (reason) => say({ said: 'disconnect', reason }));
    socket.io.engine.on('upgrade', (transport) => say({ said: 'upgrade', transport: transport.name }));
    socket.onAny((event, data) => say({ said: 'event', event, data }));
  },
  emit({ event, data }) {
    socket.emit(event, data, (answer) => say({ said: 'ack', answer }));
  },
  close() {
    socket.disconnect();
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { order, ...rest } = JSON.parse(line);
  orders[order](rest);
}
process.exit(0);
