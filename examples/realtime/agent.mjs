// A support agent's front end in a few lines: hears of each message as it comes, answers it over the API, sees the ticks.
//
//   PALOMAR_KEY=$(cat palomar-data/admin.key) node agent.mjs [http://127.0.0.1:8080] [channel]
//
// Each line shows two times: when it happened (the event's) and when it was heard of here.
import { io } from 'socket.io-client';

const [url = 'http://127.0.0.1:8080', channel] = process.argv.slice(2);
const token = process.env.PALOMAR_KEY;

const show = (event, what) => {
  const heard = new Date();
  const late = heard - new Date(event.time);
  console.log(`happened ${event.time}  heard ${heard.toISOString()} (+${late} ms)  ${event.type.padEnd(18)} ${what}`);
};

// The place is where a client that was away goes on: the last event that it has.
let since;
const rooms = channel ? [`channel:${channel}`] : undefined;
const socket = io(url, { auth: (send) => send({ token, rooms, since }) });
socket.on('connect', () => console.log(`connected as ${socket.id} by ${socket.io.engine.transport.name}`));
socket.on('connect_error', (error) => console.error(`not let in: ${error.message}`));
socket.on('dropped', ({ reason }) => console.error(`dropped: ${reason}`));
socket.on('gap', (gap) => console.error(`something is missing between ${gap.since} and ${gap.next}: read the state afresh`));
socket.on('disconnect', (reason) => console.log(`disconnected: ${reason}`));
socket.onAny((_, event) => { since = event.id ?? since; });

socket.on('message.received', async (event) => {
  show(event, `${event.data.contact}: ${event.data.content.text}`);
  const answer = await fetch(`${url}/api/conversations/${event.conversation}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      // Should this run twice for one message, it is answered once.
      'idempotency-key': `answer-${event.messageId}`,
    },
    body: JSON.stringify({ text: `Thank you: "${event.data.content.text}"` }),
  });
  const { id, status, detail } = await answer.json();
  console.log(answer.ok ? `answered with ${id}: ${status}` : `could not answer: ${detail}`);
});

const ticks = { accepted: '🕓', sending: '🕓', sent: '✓', delivered: '✓✓', read: '✓✓ (blue)', failed: '✗' };
for (const [word, tick] of Object.entries(ticks)) {
  socket.on(`message.${word}`, (event) => show(event, `${tick} ${event.messageId}`));
}
