// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const { rows, classes, decisions } = JSON.parse($('data').textContent);

  // make builds an element. Text of the report only ever goes in as a text node.
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function icon(name) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('viewBox', '0 0 16 16');
    svg.setAttribute('aria-hidden', 'true');
    use.setAttribute('href', '#i-' + name);
    svg.append(use);
    return svg;
  }

  // What each row is searched by, and its place in the order of the report.
  rows.forEach((row, place) => {
    row.place = place;
    row.text = [
      row.image, row.verdict, row.class, row.next, row.reason, row.digest, row.namespaces.join(' '),
      (row.signer || []).map((claim) => claim[1]).join(' '), (row.running || []).join(' '), (row.refusals || []).flat().join(' '),
      (row.places || []).map((p) => p.where + ' ' + p.container + ' ' + (p.owner || []).join(' ')).join(' '),
    ].join(' ').toLowerCase();
    row.first = row.namespaces.join(', ').toLowerCase();
    row.name = row.image.toLowerCase();
    row.rank = classes.indexOf(row.class);
    row.fate = decisions.indexOf(row.next);
  });

  const columns = [
    { id: 'image', title: 'Image', key: (r) => r.name },
    { id: 'verdict', title: 'Verdict', key: (r) => r.rank, then: (r) => r.verdict },
    { id: 'next', title: 'Next rollout', key: (r) => r.fate },
    { id: 'namespaces', title: 'Namespaces', key: (r) => r.first },
    { id: 'workloads', title: 'Workloads', key: (r) => r.workloads, most: true },
    { id: 'pods', title: 'Pods', key: (r) => r.pods, most: true },
  ];

  const step = 100;
  const state = { words: [], namespace: '', decision: '', classes: new Set(), column: null, down: false };
  let shown = []; // the rows that fit, in order
  let drawn = 0; // how many of them are in the table

  const numbers = new Intl.NumberFormat('en');
  const images = (n) => numbers.format(n) + (n === 1 ? ' image' : ' images');

  function fits(row) {
    return (state.classes.size === 0 || state.classes.has(row.class)) &&
      (state.namespace === '' || row.namespaces.includes(state.namespace)) &&
      (state.decision === '' || row.next === state.decision) &&
      state.words.every((word) => row.text.includes(word));
  }

  function compare(a, b) {
    const { key, then } = state.column;
    let [x, y] = [key(a), key(b)];
    if (x === y && then) [x, y] = [then(a), then(b)];
    const order = x < y ? -1 : x > y ? 1 : 0;
    return (state.down ? -order : order) || a.place - b.place;
  }

  function update() {
    shown = rows.filter(fits);
    if (state.column) shown.sort(compare);
    $('rows').replaceChildren();
    drawn = 0;
    draw(step);
    $('empty').hidden = shown.length > 0;
    const what = shown.length === rows.length ? images(rows.length) : numbers.format(shown.length) + ' of ' + images(rows.length);
    $('status').textContent = what;
    $('order').textContent = !state.column ? 'The worst first.' : 'By ' + state.column.title.toLowerCase() + (state.down ? ', descending.' : ', ascending.');
    for (const column of columns) {
      const direction = column !== state.column ? 'none' : state.down ? 'descending' : 'ascending';
      column.head.setAttribute('aria-sort', direction);
    }
    $('sort').value = state.column ? state.column.id : '';
  }

  function draw(count) {
    const end = Math.min(shown.length, drawn + count);
    const part = document.createDocumentFragment();
    for (; drawn < end; drawn++) part.append(rowOf(shown[drawn]));
    $('rows').append(part);
    $('after').hidden = drawn >= shown.length;
    $('all').textContent = 'Show all ' + numbers.format(shown.length);
  }

  function cell(label, className, ...children) {
    return make('td', { role: 'cell', 'data-label': label, class: className }, ...children);
  }

  function nameOf(image) {
    const name = make('span', { class: 'name' });
    const digest = image.indexOf('@sha256:');
    const rest = digest < 0 ? '' : image.slice(digest);
    const full = digest < 0 ? image : image.slice(0, digest);
    const cut = full.lastIndexOf('/') + 1;
    name.append(make('span', { class: 'soft' }, full.slice(0, cut)), make('span', { class: 'image-name' }, full.slice(cut)));
    if (/^@sha256:[0-9a-f]{64}$/.test(rest)) name.append(make('span', { class: 'soft mono short-digest' }, rest.slice(0, 16) + '…'));
    else name.append(make('span', { class: 'soft mono' }, rest));
    return name;
  }

  // wrappable lets a long code wrap between its words.
  function wrappable(code) {
    return code.split(/(?<=_)/).flatMap((word, i) => (i === 0 ? [word] : [make('wbr'), word]));
  }

  function some(names, limit) {
    return names.length <= limit ? names.join(', ') : names.slice(0, limit).join(', ') + ' +' + (names.length - limit);
  }

  function rowOf(row) {
    const button = make('button', { type: 'button', class: 'open-button', 'aria-expanded': 'false', title: row.image }, icon('open'), nameOf(row.image));
    const head = make('td', { role: 'cell' }, button);
    if (row.reason) head.append(make('span', { class: 'reason' }, row.reason.split('; ')[0]));
    const spaces = make('span', { class: 'name' }, some(row.namespaces, 3) || '–');
    const line = make('tr', { role: 'row', class: 'row' }, head,
      cell('Verdict', '', make('span', { class: 'pill ' + row.class }, icon(row.class), make('span', {}, ...wrappable(row.verdict)))),
      cell('Next rollout', '', make('span', { class: row.next }, row.next)),
      cell('Namespaces', '', spaces),
      cell(row.workloads === 1 ? 'Workload' : 'Workloads', 'num', numbers.format(row.workloads)),
      cell(row.pods === 1 ? 'Pod' : 'Pods', 'num', numbers.format(row.pods)));
    let detail = null;
    line.addEventListener('click', () => {
      if (String(getSelection()) !== '') return; // somebody copies text
      if (detail) {
        detail.remove();
        detail = null;
      } else {
        detail = detailOf(row);
        line.after(detail);
      }
      line.classList.toggle('open', detail !== null);
      button.setAttribute('aria-expanded', String(detail !== null));
    });
    return line;
  }

  function detailOf(row) {
    const grid = make('div', { class: 'detail-grid' });
    const block = (title, wide, ...children) => grid.append(make('div', wide ? { class: 'full' } : {}, make('h4', {}, title), ...children));
    const text = (value) => make('span', { class: 'name' }, value);
    block('Image', true, make('code', { class: 'name' }, row.image));
    if (row.reason) block('Why', true, text(row.reason));
    if (row.refusals) {
      block('Refused by', true, make('ul', {}, ...row.refusals.map(([constraint, action, message]) =>
        make('li', {}, make('strong', {}, text(constraint)), ' (' + action + ') ', make('span', { class: 'soft name' }, message)))));
    }
    if (row.places) {
      block('Where it runs', false, make('ul', {}, ...row.places.slice(0, 50).map((p) =>
        make('li', {}, text(p.where), make('span', { class: 'soft' }, ' · ', text(p.container), ' · ' + numbers.format(p.pods) + (p.pods === 1 ? ' pod' : ' pods'),
          ...(p.owner || []).map((label) => make('span', {}, ' · ', text(label))), ...(p.next ? [' · ' + p.next] : []))))),
        ...(row.places.length > 50 ? [make('p', { class: 'soft' }, 'and ' + numbers.format(row.places.length - 50) + ' more')] : []));
    }
    const facts = [...(row.signer || [])];
    if (row.signedAt) facts.push(['signed at', row.signedAt]);
    if (facts.length) {
      block('Signer', false, make('dl', {}, ...facts.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, text(value))])));
    }
    if (row.running && row.running.length) {
      block('Other digests that run', false, make('ul', {}, ...row.running.map((digest) => make('li', { class: 'mono' }, digest))));
    }
    const more = [];
    if (row.digest) more.push(['digest', row.digest]);
    if (row.firstSeen) more.push(['refused since', row.firstSeen]);
    if (row.sources) more.push(['known from', row.sources]);
    if (more.length) {
      block('More', false, make('dl', {}, ...more.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, text(value))])));
    }
    return make('tr', { role: 'row', class: 'detail' }, make('td', { role: 'cell', colspan: columns.length }, grid));
  }

  function sortBy(column) {
    if (state.column === column) state.down = !state.down;
    else [state.column, state.down] = [column, Boolean(column && column.most)];
    update();
  }

  for (const column of columns) {
    const button = make('button', { type: 'button', class: 'sort' }, column.title, icon('sort'));
    button.addEventListener('click', () => sortBy(column));
    column.head = make('th', { role: 'columnheader', scope: 'col', 'aria-sort': 'none', class: column.most ? 'num' : '' }, button);
    $('head').append(column.head);
    $('sort').append(make('option', { value: column.id }, column.title));
  }
  $('sort').addEventListener('change', (event) => {
    state.column = null;
    sortBy(columns.find((column) => column.id === event.target.value) || null);
  });

  for (const name of [...new Set(rows.flatMap((row) => row.namespaces))].sort()) $('namespace').append(make('option', { value: name }, name));
  for (const name of decisions) {
    if (rows.some((row) => row.next === name)) $('decision').append(make('option', { value: name }, name));
  }
  $('namespace').addEventListener('change', (event) => { state.namespace = event.target.value; update(); });
  $('decision').addEventListener('change', (event) => { state.decision = event.target.value; update(); });

  for (const name of classes) {
    const count = rows.filter((row) => row.class === name).length;
    if (count === 0) continue;
    const chip = make('button', { type: 'button', class: 'chip', 'aria-pressed': 'false' },
      make('span', { class: name }, icon(name)), name, make('span', { class: 'count' }, numbers.format(count)));
    chip.addEventListener('click', () => {
      if (!state.classes.delete(name)) state.classes.add(name);
      chip.setAttribute('aria-pressed', String(state.classes.has(name)));
      update();
    });
    $('classes').append(chip);
  }

  // At most one search for what is shown in one frame, however fast one types.
  let waiting = false;
  $('search').addEventListener('input', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      state.words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
      update();
    });
  });
  $('tools').addEventListener('submit', (event) => event.preventDefault());
  $('more').addEventListener('click', () => draw(step));
  $('all').addEventListener('click', () => draw(Infinity));

  // Paper shows all that fits, not only what was scrolled to.
  const paper = matchMedia('print');
  addEventListener('beforeprint', () => draw(Infinity));
  paper.addEventListener('change', () => { if (paper.matches) draw(Infinity); });

  const theme = $('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? 'dark' : 'light')) === 'dark';
  const tell = () => theme.setAttribute('aria-pressed', String(isDark()));
  theme.addEventListener('click', () => { document.documentElement.dataset.theme = isDark() ? 'light' : 'dark'; tell(); });
  dark.addEventListener('change', tell);
  tell();

  theme.hidden = false;
  $('browse').hidden = false;
  update();
})();
