// The page: asks the API, and shows what it says. What others wrote is put in as text, never as markup.
'use strict';
const $ = id => document.getElementById(id);
const EVERY = 2000, STALE = 10000, POINTS = 120, LISTED = 200;
const state = { data: null, session: null, heardAt: 0, silentSince: null, error: null, paused: false, local: read('local') === '1',
  filter: '', row: -1, route: null, shownFor: null, skew: 0, asking: false };

function read(key) { try { return localStorage.getItem('event-sender.' + key); } catch { return null; } }
function keep(key, value) { try { localStorage.setItem('event-sender.' + key, value); } catch { /* A browser may keep nothing. */ } }

// ---- Elements
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}
function s(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const button = (text, act, attributes) => h('button', { type: 'button', onclick: act, ...attributes }, text);

// ---- Figures and times
const n = number => Number(number).toLocaleString('en');
const jobs = number => number === 1 ? '1 job' : n(number) + ' jobs';
const now = () => Date.now() + state.skew;
function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return seconds + ' s';
  if (seconds < 3600) return Math.floor(seconds / 60) + ' min';
  const [large, small, a, b] = seconds < 86400 ? [3600, 60, 'h', 'min'] : [86400, 3600, 'd', 'h'];
  const rest = Math.floor(seconds % large / small);
  return Math.floor(seconds / large) + ' ' + a + (rest ? ' ' + rest + ' ' + b : '');
}
function clock(time, always) {
  const at = new Date(time);
  if (isNaN(at)) return String(time);
  const iso = date => new Date(date - (state.local ? new Date(date).getTimezoneOffset() * 60000 : 0)).toISOString();
  const day = iso(+at).slice(0, 10), today = iso(now()).slice(0, 10);
  return (always || day !== today ? day + ' ' : '') + iso(+at).slice(11, 19) + (state.local ? '' : ' UTC');
}
const quoted = word => /^[\w.+@/-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
function moment(time) {
  const at = Date.parse(time);
  if (isNaN(at)) return time || '';
  return clock(time) + (at > now() ? ' (in ' + span(at - now()) + ')' : ' (' + span(now() - at) + ' ago)');
}
const seconds = value => value === null || value === undefined ? '–' : value < 0.01 ? '< 0.01 s' : value.toFixed(2) + ' s';

// ---- Asking
async function ask(path, body, method) {
  const options = { cache: 'no-store', signal: AbortSignal.timeout(9000) };
  if (body !== undefined) {
    options.method = method || 'POST';
    options.headers = { 'Content-Type': 'application/json', 'X-Event-Sender': '1' };
    options.body = JSON.stringify(body);
  }
  const answer = await fetch('api/v1/' + path, options);
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error ? said.error.why : 'HTTP ' + answer.status), { status: answer.status, what: said.error && said.error.what });
  return said;
}

async function refresh() {
  if (state.asking) return;
  state.asking = true;
  try {
    if (!state.session) state.session = await ask('session');
    if (!state.session.may_read) { heard(); showSignIn(); return; }
    state.data = await ask('overview');
    state.skew = Date.parse(state.data.now) - Date.now();
    heard();
  } catch (error) {
    if (error.status === 401) state.session = null;
    else if (error.status) heard();
    state.error = error;
    if (!error.status && !state.silentSince) state.silentSince = state.heardAt || Date.now();
  } finally {
    state.asking = false;
    show();
  }
}
function heard() { state.heardAt = Date.now(); state.silentSince = null; state.error = null; }

// ---- What is shown
function show() {
  showHeader();
  showBanner();
  const first = state.route.name === 'first';
  $('first').hidden = !first || !state.data;
  $('other').hidden = first;
  if (!state.data) return;
  showTiles(state.data.tiles);
  showCharts(state.data.charts);
  showFailed(state.data.failed);
  if (!state.filter) showMailboxes(state.data.mailboxes);
  showAgents(state.data.agents);
}

function age() { return state.data ? now() - Date.parse(state.data.seen_at) : 0; }
function isSilent() { return state.silentSince && Date.now() - state.heardAt > STALE; }

function showHeader() {
  const data = state.data, live = $('live');
  $('queue').textContent = data ? data.queue + ' · ' + data.version : '';
  const [word, tone] = isSilent() || (state.error && !state.error.status) ? ['✕ no answer', 'bad'] : data && data.trouble ? ['✕ out of date', 'bad'] : state.paused ? ['❚❚ updates paused', 'warn']
    : age() > STALE ? ['◷ seen ' + span(age()) + ' ago', 'warn'] : ['● live', 'ok'];
  if (live.textContent !== word) live.textContent = word;
  live.className = 'pill ' + tone;
  $('clock').textContent = clock(now());
  $('zone').textContent = state.local ? 'Local time' : 'UTC';
  $('zone').setAttribute('aria-label', 'Times are shown in ' + (state.local ? 'local time' : 'UTC') + '; change');
  $('pause').textContent = state.paused ? 'Resume updates' : 'Pause updates';
  $('pause').setAttribute('aria-pressed', state.paused);
  const account = $('account'), session = state.session;
  $('reads').hidden = !session || session.actions;
  account.hidden = !session || (session.sign_in !== 'token' && !session.who) || (!session.actions && session.may_read && !session.signed_in);
  if (session) account.textContent = session.who || (session.signed_in ? 'Sign out' : 'Sign in');
  account.disabled = Boolean(session && session.who);
  document.body.classList.toggle('old', Boolean(isSilent() || (data && data.trouble)));
}

const MARKS = { calm: '◌', fine: '✓', look: '▲', stopped: '■' };
function showBanner() {
  const banner = $('banner'), data = state.data;
  let level = 'look', head, body = [];
  if (state.error && !state.error.status) {
    level = 'stopped';
    head = 'This page gets no answer from the agent';
    body = [h('p', null, 'Since ' + clock(state.silentSince) + (data ? '; what is shown below was seen at ' + clock(data.seen_at) : '') +
      '. Rows wait in the queue meanwhile, and nothing is lost.'), steps([['systemctl status event-sender', 'whether it runs, and why not'], ['event-sender status', 'the queue, without it']])];
  } else if (state.error) {
    level = state.error.what === 'starting' ? 'look' : 'stopped';
    head = state.error.what === 'starting' ? 'The agent is starting' : 'This cannot be shown';
    body = [h('p', null, state.error.message)];
  } else if (state.session && !state.session.may_read) {
    level = 'calm';
    head = 'Sign in to see the queue';
    body = [h('p', null, state.session.sign_in === 'token' ? 'With the token in the file that web.token_file names.' : 'The proxy in front of this page names no user (web.trusted_proxy_header).'),
      state.session.sign_in === 'token' && h('div', { class: 'buttons' }, button('Sign in…', () => askToken(), { class: 'main' }))].filter(Boolean);
  } else if (!data) {
    level = 'calm';
    head = 'Looking…';
  } else if (data.trouble) {
    level = 'stopped';
    head = 'The queue cannot be read';
    body = [h('p', null, data.trouble.why.replace(/^the queue cannot be read: /, '')), h('p', null, 'Since ' + moment(data.trouble.since) + '; what is shown below was seen at ' + clock(data.seen_at) + '.')];
  } else {
    [level, head, body] = verdict(data);
  }
  const text = JSON.stringify([level, head, body.map(part => part.textContent)]);
  if (state.shownFor === text) return;
  state.shownFor = text;
  // Who listens hears of a change, not of every second of a countdown.
  if (!banner.classList.contains(level)) $('said').textContent = head;
  banner.className = 'banner ' + level;
  banner.replaceChildren(h('h1', null, h('span', { class: 'mark', 'aria-hidden': 'true' }, MARKS[level]), head), ...body);
}
function verdict(data) {
  const v = data.verdict, body = [];
  if (v.empty) {
    const day = new Date(now() + 86400000).toISOString().slice(0, 10);
    body.push(h('p', null, 'Insert a row, and it is sent at once:'), h('pre', null,
      'event-sender enqueue --start "' + day + ' 09:00" --end "' + day + ' 10:00" --subject "Hello"\n\nsqlite3 ' + quoted(data.queue) +
      ' "INSERT INTO jobs (subject, start_time, end_time) VALUES (\'Hello\', \'' + day + 'T09:00\', \'' + day + 'T10:00\')"'));
    if (v.remarks.length) body.unshift(h('ul', null, v.remarks.map(remark => h('li', null, remark))));
    return [v.level, v.headline + (v.level === 'fine' ? '. The queue is empty' : ''), body];
  }
  if (v.since || v.until) {
    const until = Date.parse(v.until);
    body.push(h('dl', null, v.since && [h('dt', null, 'since'), h('dd', null, moment(v.since))],
      v.until && [h('dt', null, 'next try'), h('dd', null, until > now() ? h('strong', { class: 'figures' }, 'in ' + span(until - now())) : 'now', ' · ' + clock(v.until))]));
  }
  const remarks = v.remarks.filter(remark => !(v.since && remark.startsWith('since ')));
  if (remarks.length) body.push(h('ul', null, remarks.map(remark => h('li', null, remark))));
  if (v.nothing_lost) body.push(h('p', null, h('strong', null, v.nothing_lost)));
  if (v.level !== 'fine' && v.steps.length) body.push(steps(v.steps.map(step => [step.command, step.what])));
  return [v.level, v.headline, body];
}
const steps = pairs => h('dl', null, pairs.map(([command, what]) => [h('dt', null, h('code', null, command)), h('dd', { class: 'dim' }, what)]));

function showTiles(t) {
  const perSecond = t.sent.last_minute / 60, ends = t.credential, days = t.credential_days;
  const name = ends && ends.name === 'certificate' ? 'Certificate ends' : 'Secret ends';
  const tiles = [
    ['Waiting', n(t.waiting.jobs), t.waiting.oldest_due ? 'oldest ' + span(now() - Date.parse(t.waiting.oldest_due)) : t.waiting.later ? n(t.waiting.later) + ' for later' : ''],
    ['In flight', n(t.in_flight.now) + ' / ' + n(t.in_flight.limit), ''],
    ['Sent, last hour', n(t.sent.last_hour), (perSecond >= 10 ? n(Math.round(perSecond)) : perSecond.toFixed(1)) + '/s now'],
    ['Answer time', seconds(t.answer_time.p50_seconds), t.answer_time.p95_seconds === null ? '' : 'p50 · p95 ' + seconds(t.answer_time.p95_seconds)],
    ['Failed, 24 h', n(t.failed.last_24_hours), t.failed.last_hour ? n(t.failed.last_hour) + ' in the last hour' : '', t.failed.last_24_hours ? 'bad' : ''],
    ['In doubt', n(t.in_doubt), t.in_doubt ? 'looked up first' : '', t.in_doubt ? 'warn' : ''],
    ends && [name, days < 0 ? 'over' : days === 0 ? 'today' : 'in ' + days + (days === 1 ? ' day' : ' days'), ends.expires.slice(0, 10), days <= 1 ? 'bad' : days <= 30 ? 'warn' : ''],
  ].filter(Boolean);
  $('tiles').replaceChildren(...tiles.map(([label, value, note, tone]) =>
    h('div', { class: 'tile' }, h('span', null, label), h('strong', { class: tone || null }, value), h('small', null, note))));
}

// ---- Charts
function showCharts(c) {
  $('rate').replaceChildren(chart(c, c.sent_per_second, c.failed_per_second, 'Events per second', true));
  $('answer').replaceChildren(chart(c, c.answer_p50_seconds, c.answer_p95_seconds, 'Seconds until Graph has answered', false));
}
function nice(most) {
  const step = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 2.5, 5, 10].map(part => part * step).find(top => top >= most) || 1;
}
function chart(c, a, b, label, area) {
  const width = 600, height = 120, left = 34, base = height - 4, gap = (width - left - 4) / (POINTS - 1);
  const top = nice(Math.max(0, ...a, ...b));
  const x = (i, of) => (width - 4 - (of.length - 1 - i) * gap).toFixed(1), y = value => (base - value / top * (height - 16)).toFixed(1);
  const runs = of => of.reduce((runs, value, i) => {
    if (value === null) runs.push([]); else runs[runs.length - 1].push([x(i, of), y(value)]);
    return runs;
  }, [[]]).filter(run => run.length);
  const line = run => 'M' + run.map(point => point.join(' ')).join('L') + (run.length === 1 ? 'h2' : '');
  const lines = (of, name) => runs(of).map(run => s('path', { class: name, d: line(run) }));
  const known = of => of.filter(value => value !== null), last = of => known(of).at(-1);
  const text = known(a).length ? label + ' in the last hour: now ' + last(a) + ' and ' + (last(b) ?? 0) + ', at most ' + Math.max(...known(a)) + ' and ' + Math.max(0, ...known(b)) : label + ': nothing yet';
  const at = (px, py, words, anchor) => s('text', { x: px, y: py, 'text-anchor': anchor || 'start' }, words);
  return s('svg', { viewBox: `0 0 ${width} ${height + 16}`, role: 'img', 'aria-label': text },
    s('line', { class: 'axis', x1: left, x2: width, y1: base, y2: base }), s('line', { class: 'axis', x1: left, x2: width, y1: 12, y2: 12, 'stroke-dasharray': '2 4' }),
    at(left - 6, 16, String(top), 'end'), at(left - 6, base + 3, '0', 'end'),
    ...(area ? runs(a).map(run => s('path', { class: 'area', d: line(run) + `L${run.at(-1)[0]} ${base}L${run[0][0]} ${base}Z` })) : []),
    ...lines(a, 'a'), ...lines(b, 'b'), ...(known(a).length ? [] : [at(width / 2, height / 2, 'nothing yet', 'middle')]),
    at(left, height + 12, '1 h ago'), at(width, height + 12, 'now', 'end'));
}

// ---- Tables
const cell = (name, content, attributes) => h('td', { 'data-name': name, ...attributes }, content);
const scroll = (label, table) => h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table);
const mayAct = () => state.session && state.session.actions && state.session.signed_in;
const reads = () => state.session && state.session.actions;

function showFailed(failed) {
  $('failed-note').textContent = failed.jobs ? jobs(failed.jobs) + ' in 24 h, by reason' + (failed.grouped < failed.jobs ? '; the newest ' + n(failed.grouped) + ' are grouped' : '') : 'last 24 h';
  if (!failed.groups.length) { $('failed').replaceChildren(h('p', { class: 'ok' }, '✓ None.')); return; }
  const rows = failed.groups.map(group => h('tr', { 'data-open': '#/reason/' + (group.cause || group.error_kind) + '/' + group.ids[0], 'data-retry': JSON.stringify(group.ids) },
    cell('', [h('span', { class: 'bad' }, (group.cause || group.error_kind || '').replaceAll('_', ' ')), group.in_doubt && [' ', h('span', { class: 'pill warn' }, 'in doubt')]]),
    cell('what happened', [group.happened, group.error_message && h('div', { class: 'dim' }, group.error_message)], { class: 'l wrap' }),
    cell('jobs', n(group.jobs)),
    cell('mailboxes', [group.mailboxes.map(name => name || '(none named)').join(', '), group.more_mailboxes > 0 && ' +' + n(group.more_mailboxes)], { class: 'l mail' }),
    cell('what to do', h('ul', { class: 'dim' }, group.to_do.map(step => h('li', null, step))), { class: 'l wrap' }),
    cell('', [button('Show ' + n(group.jobs), () => go('#/reason/' + (group.cause || group.error_kind) + '/' + group.ids[0])), ' ',
      reads() && button('Retry…', () => act('retry', group.ids))], { class: 'do' })));
  fill('failed', 'Failed jobs by reason', [['reason'], ['what happened', 'l'], ['jobs'], ['mailboxes', 'l'], ['what to do', 'l'], ['']], rows);
}

const AGES = [['under_1m', '< 1 min'], ['under_5m', '1–5 min'], ['under_15m', '5–15 min'], ['under_1h', '15–60 min'], ['under_6h', '1–6 h'], ['under_1d', '6–24 h'], ['over_1d', '> 1 day']];
const shade = number => number ? 'h h' + Math.min(5, 1 + Math.floor(Math.log10(number))) : 'h none';
function mailboxState(box) {
  const parts = [];
  if (box.state === 'held') parts.push([h('span', { class: 'warn' }, '❚❚ on hold'), ' since ' + clock(box.held_since) + (box.held_reason ? ': ' + box.held_reason : '')]);
  if (box.paused_until) parts.push([h('span', { class: box.state === 'refused' ? 'bad' : 'warn' }, (box.state === 'refused' ? '✕ ' : '◷ ') + 'paused (' + box.paused_for + ')'), ', next try ' + clock(box.paused_until), box.state === 'refused' && box.reason && h('div', { class: 'dim' }, box.reason)]);
  if (box.paced_until) parts.push([h('span', { class: 'warn' }, '◷ mails enough'), ' until ' + clock(box.paced_until)]);
  return parts.flatMap((part, i) => i ? [h('br'), ...part] : part);
}
function showMailboxes(page) {
  $('mailboxes-note').textContent = page.all ? (page.mailboxes.length < page.found || state.filter ? n(page.mailboxes.length) + ' of ' + n(state.filter ? page.found : page.all) + ', ' : '') + 'trouble first · age of what is due' : '';
  if (!page.mailboxes.length) { $('mailboxes').replaceChildren(h('p', { class: 'dim' }, state.filter ? 'No mailbox with this in its name has waiting jobs.' : 'Nothing waits.')); return; }
  const rows = page.mailboxes.map(box => {
    const name = box.mailbox || '(none named)';
    const verb = box.state === 'held' ? ['Release', () => act('release', box.mailbox)] : box.may_be_resumed ? ['Try now', () => act('resume', box.mailbox)] : ['Hold…', () => act('hold', box.mailbox)];
    return h('tr', { 'data-open': '#/search/' + encodeURIComponent(box.mailbox || ''), 'data-hold': box.mailbox || '' },
      cell('', box.mailbox ? h('a', { href: '#/search/' + encodeURIComponent(box.mailbox) }, name) : name, { class: 'mail' }), cell('waiting', n(box.waiting)),
      AGES.map(([key, label]) => cell(label, box.by_age[key] ? n(box.by_age[key]) : '·', { class: shade(box.by_age[key]) })),
      cell('for later', box.later ? n(box.later) : '·', { class: box.later ? null : 'none' }), cell('', mailboxState(box), { class: 'l wrap' }),
      cell('', reads() && box.mailbox && button(verb[0], verb[1], { 'aria-label': verb[0].replace('…', '') + ' ' + name }), { class: 'do' }));
  });
  fill('mailboxes', 'Mailboxes by age of what waits', [['mailbox'], ['waiting'], ...AGES.map(([, label]) => [label]), ['for later'], ['state', 'l'], ['']], rows);
}
// One needs no list: the banner speaks of it.
function showAgents(agents) {
  $('agents').hidden = agents.length < 2;
  if (agents.length < 2) return;
  agents = agents.filter(Boolean);
  fill('agents-list', 'List of agents', [['agent'], ['process', 'l'], ['version', 'l'], ['state', 'l'], ['since', 'l']], agents.map(agent => h('tr', null,
    cell('agent', String(agent.id)), cell('process', agent.pid ?? '–', { class: 'l' }), cell('version', agent.version || '–', { class: 'l' }),
    cell('', h('span', { class: agent.running ? 'ok' : 'dim' }, agent.running ? '● runs' : '– stopped'), { class: 'l' }), cell('since', agent.started_at ? moment(agent.started_at) : '–', { class: 'l' }))));
}
function fill(place, label, heads, rows) {
  const box = $(place);
  // Under a hand or an eye that is at it, nothing moves.
  if (box.contains(document.activeElement) && document.activeElement !== box.firstChild && document.activeElement.tagName === 'BUTTON') {
    const at = [...box.querySelectorAll('button')].indexOf(document.activeElement);
    requestAnimationFrame(() => { const again = box.querySelectorAll('button')[at]; if (again) again.focus(); });
  }
  const x = box.firstChild && box.firstChild.scrollLeft;
  box.replaceChildren(scroll(label, h('table', { class: 'cards' }, h('tbody', null, h('tr', null, heads.map(([text, kind]) => h('th', { scope: 'col', class: kind }, text || h('span', { class: 'unseen' }, 'what can be done')))), rows))));
  if (x) box.firstChild.scrollLeft = x;
  mark();
}

// ---- Lists and one job
function jobTable(list) {
  return scroll('Jobs', h('table', { class: 'cards' }, h('tbody', null, h('tr', null, ['id', 'state', 'mailbox', 'starts', 'why', 'ended or next try'].map((text, i) => h('th', { scope: 'col', class: i ? 'l' : null }, text))),
    list.map(job => h('tr', { 'data-open': '#/jobs/' + job.id, 'data-retry': JSON.stringify([job.id]), 'data-hold': job.mailbox || '' },
      cell('job', h('a', { href: '#/jobs/' + job.id }, String(job.id))), cell('', stateOf(job), { class: 'l' }), cell('', [job.mailbox || h('span', { class: 'dim' }, '(default)'), job.subject && h('div', { class: 'dim' }, job.subject)], { class: 'l mail' }),
      cell('starts', job.start_time, { class: 'l' }), cell('', (job.cause || job.error_kind || '').replaceAll('_', ' '), { class: 'l' }),
      cell('', clock(job.finished_at || job.next_attempt_at, true), { class: 'l' }))))));
}
function stateOf(job) {
  const tone = { sent: 'ok', failed: 'bad', pending: 'warn', claimed: 'warn' }[job.state] || 'dim';
  const sign = { sent: '✓ ', failed: '✕ ', pending: '◷ ', claimed: '→ ' }[job.state] || '– ';
  return [h('span', { class: tone }, sign + job.state), job.in_doubt && [' ', h('span', { class: 'pill warn' }, 'in doubt')]];
}
function other(title, ...content) {
  $('other').replaceChildren(h('section', { class: 'card' }, h('div', { class: 'head' }, h('h2', null, title), h('a', { href: '#/' }, '← all')), content));
  state.row = -1;
}
async function open(route) {
  document.body.classList.toggle('inner', route.name !== 'first');
  document.title = 'event-sender';
  if (route.name === 'first') { show(); return; }
  $('first').hidden = true; $('other').hidden = false;
  try {
    if (route.name === 'job') await showJob(route.id);
    else if (route.name === 'reason') await showReason(route);
    else await showSearch(route);
  } catch (error) { other('This cannot be shown', h('p', { class: 'bad' }, error.message)); }
}
// From the newest job back, an answer at a time, until something is found or there is no older job.
async function showSearch(route) {
  document.title = route.text + ' · event-sender';
  const found = new Map();
  let searched = 0, before = null, wanted = 1;
  do {
    const page = await ask('jobs?limit=200&search=' + encodeURIComponent(route.text) + (before ? '&before=' + before : ''));
    if (state.route !== route) return;
    page.jobs.forEach(job => found.set(job.id, job));
    searched += page.searched.jobs;
    before = page.searched.before;
    const list = [...found.values()].sort((a, b) => b.id - a.id);
    const more = before && list.length >= wanted;
    const note = h('p', { class: 'dim', role: 'status' }, before ? (more ? 'The newest ' : 'Searching: the newest ') + jobs(searched) + (searched === 1 ? ' was' : ' were') + ' searched. ' : searched ? 'All ' + jobs(searched) + ' were searched. ' : 'There is no job. ',
      'Keys, and what waits for a mailbox, are found among all jobs at once; EventIDs, request ids and mailboxes of jobs that have ended by going back from the newest.');
    const older = new Promise(resolve => {
      other((list.length ? jobs(list.length) : before ? 'Nothing yet' : 'Nothing') + ' found by “' + route.text + '”',
        list.length > 0 && jobTable(list), note, more && button('Search older jobs', resolve));
      if (!more) resolve();
    });
    await older;
    if (more) wanted = list.length + 1;
  } while (before && state.route === route);
}
async function showReason(route) {
  if (!state.data) await refresh();
  const group = state.data && state.data.failed.groups.find(group => group.ids.includes(Number(route.id)));
  if (!group) { other('No such group any more', h('p', { class: 'dim' }, 'Its jobs were retried, cancelled or deleted, or failed more than 24 hours ago.')); return; }
  const found = await ask('jobs?ids=' + group.ids.slice(0, LISTED).join(','));
  other((group.cause || group.error_kind).replaceAll('_', ' ') + ': ' + jobs(group.jobs), h('p', null, group.happened), h('ul', null, group.to_do.map(step => h('li', null, step))),
    h('p', null, h('code', null, group.command)), h('div', { class: 'buttons' }, reads() && [button('Retry…', () => act('retry', group.ids), { class: 'main' }), button('Cancel…', () => act('cancel', group.ids))]), group.jobs > LISTED && h('p', { class: 'dim' }, 'The newest ' + LISTED + ':'), jobTable(found.jobs));
  $('other').firstChild.dataset.retry = JSON.stringify(group.ids);
}
const FACTS = [['subject', 'subject'], ['operation', 'operation'], ['mailbox', 'mailbox'], ['start_time', 'starts'], ['end_time', 'ends'], ['time_zone', 'zone'], ['location', 'location'], ['attendees', 'attendees'], ['body', 'body'], ['calendar_id', 'calendar'], ['not_before', 'not before'],
  ['not_after', 'not after'], ['priority', 'priority'], ['event_key', 'event key'], ['dedup_key', 'dedup key'], ['target_event_id', 'means event'], ['event_id', 'EventID'], ['ical_uid', 'iCalUId'], ['transaction_id', 'transaction id'], ['request_id', 'request id'], ['error_kind', 'kind'], ['cause', 'cause'], ['http_status', 'HTTP status'], ['error_code', 'error code'], ['error_message', 'what was said'], ['attempts', 'attempts'], ['next_attempt_at', 'due'], ['give_up_at', 'given up at'], ['behind', 'behind job']];
// Most jobs create an event, for nobody else, and come in their turn.
const isUsual = (key, value) => value === null || value === undefined || { operation: 'create', priority: 0, attendees: '[]' }[key] === (Array.isArray(value) && !value.length ? '[]' : value);
async function showJob(id) {
  const job = await ask('jobs/' + encodeURIComponent(id));
  document.title = 'job ' + id + ' · event-sender';
  const advice = job.advice, ended = ['sent', 'failed', 'cancelled'].includes(job.state);
  const fact = (name, value) => [h('dt', null, name), h('dd', null, value)];
  const step = (time, what, tone, ...more) => h('li', { class: tone }, h('span', { class: 'figures dim' }, clock(time, true)), ' ', what, ...more);
  const line = [step(job.created_at, 'inserted', '')].concat(job.history.map(attempt => step(attempt.started_at, h('strong', null, attempt.outcome), { sent: 'ok', failed: 'bad' }[attempt.outcome] || '',
    ' · claim ' + attempt.claim + ' · ' + n(attempt.duration_ms) + ' ms', attempt.http_status && ' · HTTP ' + attempt.http_status, attempt.error_code && ' · ' + attempt.error_code,
    attempt.request_id && h('div', { class: 'dim' }, 'request-id ', h('code', null, attempt.request_id)), attempt.client_request_id && h('div', { class: 'dim' }, 'client-request-id ', h('code', null, attempt.client_request_id)), attempt.message && h('div', { class: 'dim' }, attempt.message))));
  if (ended && job.finished_at) line.push(step(job.finished_at, job.state, { sent: 'ok', failed: 'bad' }[job.state] || ''));
  const hidden = h('span', { class: 'dim' }, 'hidden (web.show_content)');
  other(['Job ' + job.id + ' ', stateOf(job)],
    h('dl', { class: 'facts' }, fact('what happened', advice.happened), advice.waits_for.map(reason => fact('waits for', reason)), fact('by itself', advice.by_itself), fact('what to do', h('ul', null, advice.to_do.map(text => h('li', null, text))))),
    h('div', { class: 'buttons' }, reads() && [job.state !== 'sent' && job.state !== 'claimed' && button('Retry…', () => act('retry', [job.id]), { class: 'main' }), ['pending', 'failed'].includes(job.state) && button('Cancel…', () => act('cancel', [job.id]))],
      job.web_link && h('a', { href: /^https:\/\//.test(job.web_link) ? job.web_link : '#', rel: 'noreferrer noopener', target: '_blank' }, 'Open in Outlook')),
    h('h2', null, 'Timeline'), h('ol', { class: 'timeline' }, line),
    h('h2', null, 'Row'), h('dl', { class: 'facts' }, FACTS.map(([key, name]) => isUsual(key, job[key]) ? !job.show_content && ['subject', 'body', 'attendees'].includes(key) && fact(name, hidden.cloneNode(true)) : fact(name, typeof job[key] === 'object' ? JSON.stringify(job[key]) : String(job[key])))),
    job.request && [h('h2', null, 'Request'), job.request.note && h('p', { class: 'dim' }, job.request.note), h('pre', { tabindex: '0', role: 'region', 'aria-label': 'Body of the request' }, JSON.stringify(job.request.body, null, 2))]);
  if (job.state !== 'sent' && job.state !== 'claimed') $('other').firstChild.dataset.retry = JSON.stringify([job.id]);
}

// ---- Doing
function tell(text) { $('told').textContent = text; clearTimeout(tell.timer); tell.timer = setTimeout(() => { $('told').textContent = ''; }, 8000); }
function dialog(title, ...content) {
  const box = $('dialog');
  box.replaceChildren(h('h2', { id: 'dialog-title' }, title), ...content.flat().filter(Boolean));
  if (!box.open) box.showModal();
  return box;
}
// What has the focus keeps it until the page is drawn again: Enter, pressed at once after Escape, would still press a button in it.
const close = () => { if ($('dialog').contains(document.activeElement)) document.activeElement.blur(); $('dialog').close(); };
function askToken(then) {
  const input = h('input', { type: 'password', autocomplete: 'current-password', required: true });
  const wrong = h('p', { class: 'bad', role: 'alert' });
  const submit = async event => {
    event.preventDefault();
    try {
      await ask('session', { token: input.value });
      state.session = await ask('session');
      close();
      if (then) then();
      refresh();
    } catch (error) { wrong.textContent = error.message; input.select(); }
  };
  dialog('Sign in', h('form', { onsubmit: submit }, h('label', null, 'Token of web.token_file', input), wrong, h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, 'Sign in'), button('Leave it', close))));
  input.focus();
}
// Asked for once; who leaves it has the button in the banner.
function showSignIn() {
  if (state.session.sign_in === 'token' && !state.askedToSignIn) { state.askedToSignIn = true; askToken(); }
}
async function act(verb, what) {
  if (!reads()) { tell('This page only reads: web.actions is false.'); return; }
  if (!mayAct()) {
    if (state.session.sign_in === 'token') askToken(() => act(verb, what)); else tell('The proxy in front of this page names no user.');
    return;
  }
  try { await (verb === 'retry' || verb === 'cancel' ? actOnJobs(verb, what) : actOnMailbox(verb, what)); } catch (error) {
    if (error.status === 401) { state.session = await ask('session'); askToken(() => act(verb, what)); } else { close(); tell(error.message); }
  }
}
async function actOnJobs(verb, ids) {
  const plan = await ask('jobs/' + verb, { ids, dry_run: true });
  const past = verb === 'retry' ? 'retried' : 'cancelled', number = plan[past], reasons = new Map();
  plan.skipped.forEach(one => reasons.set(one.reason, [...(reasons.get(one.reason) || []), one.id]));
  const run = async () => {
    try {
      const done = await ask('jobs/' + verb, { ids: plan.ids });
      close();
      tell(past[0].toUpperCase() + past.slice(1) + ' ' + jobs(done[past]) + (done.skipped.length ? '; ' + jobs(done.skipped.length) + ' skipped: ' + done.skipped[0].reason : ''));
      await refresh();
      open(state.route);
    } catch (error) { close(); tell(error.message); }
  };
  dialog((verb === 'retry' ? 'Retry ' : 'Cancel ') + jobs(number) + '?', h('p', null, verb === 'retry' ? 'They keep their transaction id, so none becomes a second event; one in doubt is looked up first.' : 'They are not sent any more. A retry puts them back.'),
    [...reasons].map(([reason, skipped]) => h('p', { class: 'warn' }, 'Skipped, ' + jobs(skipped.length) + ' (' + skipped.slice(0, 10).join(', ') + (skipped.length > 10 ? ', …' : '') + '): ' + reason)),
    h('p', { class: 'dim' }, 'The same in a terminal:'), h('pre', null, plan.command), h('div', { class: 'buttons' }, number > 0 && button((verb === 'retry' ? 'Retry ' : 'Cancel ') + jobs(number), run, { class: 'main' }), button(number ? 'Leave it' : 'Close', close)));
}
function actOnMailbox(verb, mailbox) {
  const reason = h('input', { type: 'text', maxlength: 300, placeholder: 'moved to another server, ticket 4711' });
  const [title, words, past] = { hold: ['Hold ' + mailbox + '?', 'Nothing more is sent to it until it is released; requests under way finish, its jobs wait.', 'held'],
    release: ['Release ' + mailbox + '?', 'Its jobs are sent again.', 'released'], resume: ['Try ' + mailbox + ' now?', 'For a mailbox that has been fixed: one job is tried, and all if that works.', 'resumed'] }[verb];
  const run = async () => {
    try {
      const done = await ask('mailboxes/' + verb, verb === 'hold' ? { mailbox, reason: reason.value } : { mailbox });
      close();
      tell(mailbox + ' is ' + past + ': ' + jobs(done.waiting) + (done.waiting === 1 ? ' waits' : ' wait'));
      refresh();
    } catch (error) { close(); tell(error.message); }
  };
  const command = h('pre', null), write = () => { command.textContent = 'event-sender ' + verb + (reason.value.trim() ? ' --reason ' + quoted(reason.value.trim()) : '') + (mailbox.startsWith('-') ? ' -- ' : ' ') + quoted(mailbox); };
  write();
  reason.addEventListener('input', write);
  dialog(title, h('p', null, words), h('form', { onsubmit: event => { event.preventDefault(); run(); } }, verb === 'hold' && h('label', null, 'Why (shown with the hold)', reason), h('p', { class: 'dim' }, 'The same in a terminal:'), command,
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, title.split(' ')[0]), button('Leave it', close))));
  if (verb === 'hold') reason.focus();
}

// ---- Ways
function go(hash) { location.hash = hash; }
function routeOf(hash) {
  const [, name, a, b] = hash.replace(/^#/, '').split('/');
  const text = part => { try { return decodeURIComponent(part || ''); } catch { return part; } };
  if (name === 'jobs' && /^\d+$/.test(a)) return { name: 'job', id: a };
  if (name === 'reason' && b) return { name: 'reason', cause: text(a), id: b };
  if (name === 'search' && a) return { name: 'search', text: text(a) };
  return { name: 'first' };
}
function follow() {
  if (location.hash === '#main') { $('main').focus(); return; }
  state.route = routeOf(location.hash);
  state.row = -1;
  open(state.route);
}

// ---- Keys
const rows = () => [...document.querySelectorAll('tr[data-open]')].filter(row => row.offsetParent);
function mark() { const all = rows(); all.forEach((row, i) => row.classList.toggle('at', i === state.row)); return all[state.row]; }
function move(by) {
  const all = rows();
  if (!all.length) return;
  state.row = Math.min(all.length - 1, Math.max(0, state.row + by));
  mark().scrollIntoView({ block: 'nearest' });
}
function help() {
  const keys = [['/', 'search jobs'], ['j, k', 'next row, previous row'], ['Enter', 'open the row'], ['r', 'retry the jobs of the row, or of the page'], ['h', 'hold or release the mailbox of the row'], ['p', 'pause and resume updates'], ['?', 'this help'], ['Esc', 'close, or back to the first page']];
  dialog('Keys', h('dl', { class: 'facts' }, keys.map(([key, what]) => [h('dt', null, h('kbd', null, key)), h('dd', null, what)])), h('div', { class: 'buttons' }, button('Close', close)));
}
document.addEventListener('keydown', event => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === 'Escape') {
    if ($('dialog').open) { event.preventDefault(); close(); } else if (typing) event.target.blur(); else go('#/');
    return;
  }
  if (typing || $('dialog').open || event.ctrlKey || event.metaKey || event.altKey) return;
  const row = rows()[state.row];
  const keys = {
    '/': () => { if (state.route.name !== 'first') go('#/'); setTimeout(() => $('search').focus()); },
    j: () => move(1), k: () => move(-1), p: pause, '?': help,
    Enter: () => { if (row && !/^(BUTTON|A)$/.test(event.target.tagName)) go(row.dataset.open); else return true; },
    r: () => { const whose = row || document.querySelector('#other:not([hidden]) > [data-retry]'); if (whose && whose.dataset.retry) act('retry', JSON.parse(whose.dataset.retry)); },
    h: () => row && row.dataset.hold && act(row.textContent.includes('on hold') ? 'release' : 'hold', row.dataset.hold),
  };
  if (keys[event.key] && keys[event.key]() !== true) event.preventDefault();
});

// ---- Life
function pause() { state.paused = !state.paused; show(); if (!state.paused) refresh(); }
$('pause').addEventListener('click', pause);
$('zone').addEventListener('click', () => { state.local = !state.local; keep('local', state.local ? '1' : '0'); state.shownFor = null; show(); if (state.route.name !== 'first') open(state.route); });
$('account').addEventListener('click', async () => {
  if (!state.session.signed_in) { askToken(); return; }
  await ask('session', {}, 'DELETE').catch(error => tell(error.message));
  state.session = null;
  state.data = null;
  refresh();
});
$('search-form').addEventListener('submit', event => { event.preventDefault(); const text = $('search').value.trim(); if (text) go('#/search/' + encodeURIComponent(text)); });
let filtering;
$('filter').addEventListener('input', () => { clearTimeout(filtering); filtering = setTimeout(filter, 200); });
async function filter() {
  state.filter = $('filter').value.trim();
  if (!state.filter) { show(); return; }
  const wanted = state.filter;
  try { const page = await ask('mailboxes?search=' + encodeURIComponent(wanted)); if (wanted === state.filter) showMailboxes(page); } catch (error) { tell(error.message); }
}
window.addEventListener('hashchange', follow);
document.addEventListener('visibilitychange', () => { if (!document.hidden && !state.paused) refresh(); });
// Who is not looked at does not ask.
setInterval(() => { if (!document.hidden && !state.paused && !$('dialog').open) { refresh(); if (state.filter) filter(); } }, EVERY);
setInterval(() => { if (!document.hidden && state.route) { showHeader(); showBanner(); } }, 1000);
state.route = routeOf(location.hash);
refresh().then(follow);
