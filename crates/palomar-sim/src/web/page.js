// A page of our own that behaves towards whoever drives it as WhatsApp Web does: a QR that refreshes, a login that stays
// in the profile, a list of chats, one open chat with a box to write in, ticks, and dialogs. It draws the attributes that
// drivers go by, and nothing of the original's looks or code. What it does wrong, it does because /_sim/faults says so.
'use strict';

const app = document.getElementById('app');
const words = {
  en: { list: 'Chat list', write: 'Type a message to ', send: 'Send', attach: 'Attach', caption: 'Add a caption', unread: ' unread messages',
        scan: 'Scan this QR code to link a device!', reload: 'Click to reload QR code', loading: 'Loading your chats',
        invalid: number => `The phone number ${number} isn't on WhatsApp.`, starting: 'Starting chat', here: 'Use here',
        elsewhere: 'WhatsApp is open in another window. Click “Use here” to use WhatsApp in this window.',
        offline: 'Computer not connected', blocked: "You can't send messages to this contact.", ticks: ['Pending', 'Sent', 'Delivered', 'Read'], voice: 'Voice message' },
  es: { list: 'Lista de chats', write: 'Escribir un mensaje para ', send: 'Enviar', attach: 'Adjuntar', caption: 'Añade un comentario', unread: ' mensajes no leídos',
        scan: 'Escanea este código QR para vincular un dispositivo', reload: 'Haz clic para recargar el código QR', loading: 'Cargando tus chats',
        invalid: number => `El número de teléfono ${number} no está en WhatsApp.`, starting: 'Iniciando chat', here: 'Usar aquí',
        elsewhere: 'WhatsApp está abierto en otra ventana.', offline: 'Computadora sin conexión', blocked: 'No puedes enviar mensajes a este contacto.',
        ticks: ['Pendiente', 'Enviado', 'Entregado', 'Leído'], voice: 'Mensaje de voz' },
};
// What the server said last: how to behave, who we are, and all chats.
let how = {}, say = words.en, device = null, account = '', chats = new Map(), place = 0, open = null, serial = 0, over = false;

// A row of a list that is drawn in part, and how far that is scrolled.
const ROW = 48;
let scrolled = 0;

const wait = ms => new Promise(done => setTimeout(done, ms));
const shown = phone => '+' + phone.slice(0, 2) + ' ' + phone.slice(2, 5) + ' ' + phone.slice(5, 7) + ' ' + phone.slice(7, 9) + ' ' + phone.slice(9);
const has = (list, name) => (how[list] || []).includes(name);

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made[name] = value;
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

async function call(path, body) {
  const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ device, ...body }) });
  if (!answer.ok) throw new Error(path + ' ' + answer.status);
  return answer.json();
}

// The login is kept where the original keeps its own: in the profile's storage, flushed before it is relied on.
function storage() {
  return new Promise((done, failed) => {
    const request = indexedDB.open('login', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

async function kept(change) {
  const db = await storage();
  return new Promise((done, failed) => {
    const step = db.transaction('kept', change ? 'readwrite' : 'readonly', { durability: 'strict' });
    const store = step.objectStore('kept');
    const request = change ? change(store) : store.get('device');
    step.oncomplete = () => { db.close(); done(request.result); };
    step.onerror = () => failed(step.error);
  });
}

function behave(told) {
  how = told;
  say = words[how.language] || words.en;
  document.documentElement.lang = how.language;
}

// What of that is to be seen in an open chat.
const looks = () => JSON.stringify([how.language, how.rows, how.bareIds, how.icons, how.changed, how.noSendButton, how.popup]);

// What a hostile or broken page does, once, when it is told to.
const misdeeds = {
  hang: () => { for (;;) ; },
  eat_memory: () => { const held = []; for (;;) held.push(new Array(1e6).fill(Math.random())); },
  navigate: to => { location.href = to; },
  open_window: to => window.open(to),
  fetch: to => { fetch(to, { mode: 'no-cors' }).catch(() => {}); },
  download: () => { const link = el('a', { href: 'data:application/octet-stream,x', download: 'x.bin' }); document.body.append(link); link.click(); link.remove(); },
  ask: () => alert('ask'),
  conflict: () => {
    if (!document.querySelector('[data-conflict]')) dialog(say.elsewhere, say.here).dataset.conflict = 'x';
  },
  logout: () => logOut(1),
};

// Screens before the chats.

function loading(percent) {
  app.replaceChildren(el('div', { id: 'startup' }, el('progress', { value: percent, max: '100' }), el('div', {}, 'WhatsApp')));
}

function syncing(percent) {
  app.replaceChildren(el('div', { id: 'startup' }, el('div', {}, say.loading), el('div', { role: 'progressbar', 'aria-valuenow': percent })));
}

async function pair() {
  for (let shownTimes = 0; ; shownTimes++) {
    const expired = how.qrRefreshes > 0 && shownTimes >= how.qrRefreshes;
    const { ref } = await call('/_wa/ref', {});
    const canvas = el('canvas', { 'aria-label': say.scan, role: 'img', width: '228', height: '228' });
    const code = el('div', { 'data-ref': has('changed', 'qr') ? null : ref, 'data-code': has('changed', 'qr') ? ref : null }, canvas);
    app.replaceChildren(el('div', { class: 'landing-wrapper' }, el('h1', {}, 'WhatsApp'), code));
    if (expired) {
      await new Promise(done => code.prepend(el('button', { 'aria-label': say.reload, onclick: done }, say.reload)));
      shownTimes = -1;
      continue;
    }
    const { paired, how: told } = await call('/_wa/paired', { ref, wait: how.qrMs });
    behave(told);
    if (paired) {
      device = paired;
      await kept(store => store.put(device, 'device'));
      return;
    }
  }
}

async function logOut(reason) {
  over = true;
  await kept(store => store.delete('device'));
  location.href = '/?post_logout=1&logout_reason=' + reason;
}

// The chats.

function icon(message) {
  if (message.failed) return el('span', { 'data-icon': 'error', 'aria-label': ' Error ' });
  const names = how.icons === 'ic' ? ['ic-access-time', 'ic-done', 'ic-done-all', 'ic-done-all'] : ['msg-time', 'msg-check', 'msg-dblcheck', 'msg-dblcheck'];
  const name = has('changed', 'tick') ? 'glyph-' + message.tick : names[message.tick];
  return el('span', { 'data-icon': name, 'aria-label': ` ${say.ticks[message.tick]} ` });
}

function body(message) {
  const line = el('span', { class: 'selectable-text copyable-text' });
  // Emoji are pictures there.
  for (const part of message.text.split(/(\p{Extended_Pictographic}\uFE0F?)/u)) {
    if (/^\p{Extended_Pictographic}/u.test(part)) line.append(el('img', { alt: part, src: 'data:,', width: '16', height: '16' }));
    else line.append(part);
  }
  return line;
}

function bubble(chat, message) {
  const side = message.out ? 'true_' : 'false_';
  const jid = chat.phone.includes('@') ? chat.phone : chat.phone + '@c.us';
  const author = message.author ? `_${message.author}@c.us` : '';
  const id = how.bareIds ? message.id : `${side}${jid}_${message.id}${author}`;
  const inside = el('div', { class: 'copyable-text', 'data-pre-plain-text': `[10:32, 1/15/2026] ${message.out ? 'me' : message.author ? shown(message.author) : chat.name}: ` });
  if (message.kind === 'image') inside.append(el('img', { alt: 'photo', src: message.data || 'data:,', width: '120', height: '80' }));
  else if (message.kind !== 'text') inside.append(el('span', { 'data-icon': message.kind === 'document' ? 'document' : message.kind === 'audio' ? 'audio-play' : 'media-play' }, message.file || ''));
  if (message.text) inside.append(body(message));
  const made = el('div', { class: message.out ? 'message-out' : 'message-in', 'data-id': id, 'data-testid': 'msg-container' }, inside);
  if (message.out) made.append(icon(message));
  return el('div', { role: 'row' }, made);
}

function list() {
  const grid = el('div', { role: 'grid', 'aria-label': has('changed', 'chats') ? 'Threads' : say.list });
  const sorted = [...chats.values()].filter(chat => chat.messages.length).sort((a, b) => b.at - a.at);
  // A long list is drawn in part.
  const first = how.listed ? Math.min(Math.floor(scrolled / ROW), Math.max(0, sorted.length - how.listed)) : 0;
  for (const chat of sorted.slice(first, first + (how.listed || 60))) {
    const last = chat.messages.at(-1);
    const row = el('div', { role: 'row' }, el('div', { role: 'gridcell', onclick: () => show(chat) },
      el('span', { title: chat.name, dir: 'auto' }, chat.name),
      chat.unread ? el('span', { class: 'badge', 'aria-label': chat.unread + say.unread }, String(chat.unread)) : ''));
    const preview = el('div', {});
    if (last.out) { const tick = icon(last); tick.setAttribute('data-icon', tick.dataset.icon.replace('msg-', 'status-')); preview.append(tick); }
    preview.append(last.text.slice(0, 30));
    row.append(preview);
    if (how.listed) row.style = `height: ${ROW}px; padding: 0; overflow: hidden`;
    grid.append(row);
  }
  const name = has('changed', 'chats') ? 'pane-left' : 'pane-side';
  const pane = el('div', { id: name }, grid);
  if (how.listed) {
    grid.style = `box-sizing: border-box; height: ${sorted.length * ROW}px; padding-top: ${first * ROW}px`;
    pane.style = `height: ${how.listed * ROW}px; overflow: auto`;
    pane.onscroll = () => {
      const moved = Math.floor(pane.scrollTop / ROW) !== Math.floor(scrolled / ROW);
      scrolled = pane.scrollTop;
      if (moved) redraw();
    };
  }
  const side = el('div', { id: has('changed', 'chats') ? 'left' : 'side' }, el('header', {}, el('span', { 'data-icon': 'wa-wordmark-refreshed' }), 'Chats'),
    pane);
  if (how.offline) side.prepend(el('div', { 'data-testid': 'alert-phone' }, say.offline));
  return side;
}

function redraw() {
  if (over) return;
  const two = app.querySelector('.two');
  if (!two) { app.replaceChildren(el('div', { class: 'two', tabindex: '-1' }, list(), el('div', {}))); return; }
  two.firstElementChild.replaceWith(list());
  const pane = document.getElementById('pane-side');
  if (pane && how.listed) pane.scrollTop = scrolled;
}

function dialog(text, button, then) {
  const made = el('div', { role: 'dialog', 'data-animate-modal-popup': 'true' }, el('div', { 'data-animate-modal-body': 'true' }, el('div', {}, text),
    el('button', { onclick: () => { made.remove(); if (then) then(); } }, el('div', {}, button))));
  app.append(made);
  return made;
}

function written(box) {
  const lines = box.querySelectorAll('p');
  return (lines.length ? [...lines].map(line => line.innerText.replace(/\n$/, '')).join('\n') : box.innerText).replace(/\u00a0/g, ' ').replace(/\n$/, '');
}

function composer(chat) {
  const changed = has('changed', 'composer');
  const box = el('div', changed ? { contenteditable: 'true', 'data-writer': 'x' }
    : { contenteditable: 'true', role: 'textbox', 'data-lexical-editor': 'true', 'data-tab': '10', 'aria-label': say.write + chat.name }, );
  const slot = el('span', {});
  const update = () => {
    const full = written(box).trim() && !how.noSendButton;
    slot.replaceChildren(full
      ? el('button', { 'aria-label': has('changed', 'send') ? 'Go' : say.send, onclick: submit }, el('span', { 'data-icon': has('changed', 'send') ? 'go' : 'wds-ic-send-filled' }))
      : el('button', { 'aria-label': say.voice }, el('span', { 'data-icon': 'mic-outlined' })));
  };
  const submit = () => {
    const text = written(box);
    if (!text.trim()) return;
    box.replaceChildren();
    chat.draft = '';
    update();
    send(chat, { kind: 'text', text });
  };
  box.addEventListener('input', () => { chat.draft = written(box); update(); });
  box.addEventListener('keydown', event => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (event.shiftKey) { document.execCommand('insertLineBreak'); update(); } else if (!how.noSendButton) submit();
  });
  if (chat.draft) box.append(chat.draft);
  // The trap of the original: the single input for pictures makes stickers.
  const sticker = el('input', { type: 'file', accept: 'image/*' });
  const media = el('input', { type: 'file', accept: 'image/*,video/mp4,video/3gpp,video/quicktime', multiple: '', onchange: event => preview(chat, event.target.files[0], null) });
  const file = el('input', { type: 'file', accept: '*', multiple: '', onchange: event => preview(chat, event.target.files[0], 'document') });
  sticker.onchange = event => send(chat, { kind: 'sticker', text: '', file: event.target.files[0].name });
  const footer = el(changed ? 'section' : 'footer', {}, el('button', { 'aria-label': say.attach }, el('span', { 'data-icon': 'plus-rounded' })), sticker, media, file, box, slot);
  update();
  return footer;
}

function preview(chat, file, as) {
  const kind = as || (file.type.startsWith('image/') ? 'image' : file.type.startsWith('video/') ? 'video' : 'document');
  const box = el('div', { contenteditable: 'true', role: 'textbox', 'aria-label': say.caption, 'aria-placeholder': say.caption });
  const viewer = el('div', { 'data-animate-media-viewer': 'true' });
  const read = new FileReader();
  // As the original does, so that the same file can be sent again.
  for (const input of document.querySelectorAll('#main input[type=file]')) input.value = '';
  read.onload = () => {
    const go = el('div', { role: 'button', 'aria-label': say.send + ' 1 selected', onclick: () => {
      const text = written(box);
      viewer.remove();
      send(chat, { kind, text, file: file.name, size: file.size, data: kind === 'image' ? read.result : null });
    } }, el('span', { 'data-icon': 'wds-ic-send-filled' }));
    viewer.append(el('img', { alt: 'Preview', src: kind === 'image' ? read.result : 'data:,', width: '240' }), box, go);
    app.append(viewer);
  };
  read.readAsDataURL(file);
}

function show(chat) {
  open = chat;
  const main = el('div', { id: 'main' },
    el('header', {}, el('span', { title: chat.name, dir: 'auto' }, chat.name)),
    el('div', { role: 'application' }, ...chat.messages.slice(-how.rows).map(message => bubble(chat, message))),
    chat.blocked ? el('div', {}, say.blocked) : composer(chat));
  app.querySelector('.two').lastElementChild.replaceWith(main);
  main.querySelector('[role=application]').scrollTop = 1e9;
  main.querySelector('[contenteditable]')?.focus();
  if (how.popup) dialog('We have a new way to arrange your chats', 'OK');
  if (chat.unread) { chat.unread = 0; call('/_wa/read', { phone: chat.phone }).catch(() => {}); }
  redraw();
}

function draw(chat, message) {
  const made = bubble(chat, message);
  const old = [...document.querySelectorAll('#main [data-id]')].find(other => other.dataset.id.includes(message.id));
  const room = document.querySelector('#main [role=application]');
  if (old && open === chat) old.parentElement.replaceWith(made);
  else if (open === chat && room) { room.append(made); room.scrollTop = 1e9; while (room.children.length > how.rows) room.firstChild.remove(); }
  redraw();
}

async function send(chat, said) {
  const id = '3EB0' + Array.from(crypto.getRandomValues(new Uint8Array(9)), byte => byte.toString(16).padStart(2, '0')).join('').toUpperCase();
  const message = { id, out: true, tick: 0, ...said };
  chat.messages.push(message);
  chat.at = Date.now() + serial++;
  draw(chat, message);
  for (;;) {
    try {
      const { tick, failed } = await call('/_wa/send', { phone: chat.phone, id, kind: said.kind, text: said.text, file: said.file, size: said.size });
      if (failed) message.failed = true;
      else message.tick = Math.max(message.tick, tick);
      draw(chat, message);
      return;
    } catch { await wait(500); }
  }
}

// In-page links lead to a chat without loading everything again.
document.addEventListener('click', event => {
  const link = event.target.closest?.('a[href]');
  if (!link) return;
  const to = new URL(link.href, location.href);
  if (to.origin !== location.origin || !to.pathname.endsWith('/send')) return;
  event.preventDefault();
  visit(to);
});
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape' || !open) return;
  open = null;
  document.getElementById('main')?.replaceWith(el('div', {}));
});

async function visit(url) {
  const phone = (url.searchParams.get('phone') || '').replace(/\D/g, '');
  const starting = how.openMs ? dialog(say.starting, 'Cancel') : null;
  if (how.openMs) await wait(how.openMs);
  let found;
  try { found = await call('/_wa/open', { phone }); } catch { return; } finally { starting?.remove(); }
  if (!found.exists) { dialog(say.invalid(shown(phone)), 'OK'); return; }
  const chat = chats.get(phone) || { phone, name: found.name || shown(phone), messages: found.messages, unread: 0, at: 0 };
  chat.blocked = found.blocked;
  const text = url.searchParams.get('text');
  if (text) chat.draft = text;
  chats.set(phone, chat);
  if (!how.neverOpens) show(chat);
}

function take(told) {
  if (told.happen) { misdeeds[told.happen](told.to); return; }
  if (told.how) {
    const before = looks();
    behave(told.how);
    redraw();
    if (open && looks() !== before) show(open);
    return;
  }
  const chat = chats.get(told.phone) || { phone: told.phone, name: told.name || shown(told.phone), messages: [], unread: 0, at: 0 };
  chats.set(told.phone, chat);
  const { message } = told;
  const known = chat.messages.find(other => other.id === message.id);
  if (known) known.tick = Math.max(known.tick, message.tick);
  else {
    chat.messages.push(message);
    chat.at = Date.now() + serial++;
    if (!message.out && open !== chat) chat.unread++;
    else if (!message.out) call('/_wa/read', { phone: chat.phone }).catch(() => {});
  }
  draw(chat, known || message);
}

async function follow() {
  while (!over) {
    try {
      const { news, next, gone } = await call('/_wa/news', { after: place });
      if (gone) { await logOut(1); return; }
      place = next;
      news.forEach(take);
    } catch { await wait(500); }
  }
}

async function begin() {
  loading(10);
  behave((await call('/_wa/how', {})).how);
  if (how.unsupported) { app.replaceChildren(el('div', { class: 'landing-wrapper' }, el('h1', {}, 'WhatsApp works with Google Chrome 85+'), el('p', {}, 'To use WhatsApp, update Chrome'))); return; }
  await wait(how.loadMs);
  device = (await kept()) || null;
  if (device) {
    const { known } = await call('/_wa/known', {});
    if (!known) { await logOut(0); return; }
  } else {
    await pair();
    for (const percent of [20, 60, 90]) { syncing(percent); await wait(how.syncMs / 3); }
  }
  const all = await call('/_wa/chats', {});
  account = all.account;
  place = all.next;
  for (const chat of all.chats) chats.set(chat.phone, { ...chat, messages: chat.messages });
  if (how.neverLoads) { loading(90); return; }
  redraw();
  follow();
  const here = new URL(location.href);
  if (here.pathname.endsWith('/send')) visit(here);
}

begin().catch(error => { loading(0); setTimeout(() => location.reload(), 1000); console.error(String(error)); });
