// SPDX-License-Identifier: GPL-2.0-or-later
// Asks for the figures every few seconds and shows them. What stations and orders are called is text, never markup.
'use strict';

const PERIOD = 3000, PATIENCE = 8000, SOON_DAYS = 14, OLD_MS = 60000;
const DOING = { working: 'Working', claimed: 'Claimed', idle: 'Idle', revoked: 'Revoked' };
const number = new Intl.NumberFormat('en');
const by = (id) => document.getElementById(id);

function element(tag, className, text) {
	const e = document.createElement(tag);
	if (className)
		e.className = className;
	if (text !== undefined)
		e.textContent = text;
	return e;
}

function show(name, text) {
	document.querySelector(`[data-f=${name}]`).textContent = text;
}

function sum(list, of) {
	return list.reduce((all, one) => all + of(one), 0);
}

function many(n, one, more) {
	return `${number.format(n)} ${n === 1 ? one : more}`;
}

function percent(part, whole) {
	if (!whole)
		return '–';
	// Not 100 % while one is lost.
	return `${(Math.floor(1000 * part / whole) / 10).toFixed(1)} %`;
}

function ago(time, now) {
	const s = Math.max(0, Math.round((now - time) / 1000));
	if (s < 60)
		return `${s} s ago`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ago`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ago`;
	return `${Math.floor(s / 86400)} days ago`;
}

function clock(time) {
	return time.toLocaleTimeString('en-GB');
}

// cells: [class, text, further element]; the labels of a narrow screen are those of the head
function fill(table, rows, none) {
	const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
	table.tBodies[0].replaceChildren(...rows.map((cells) => {
		const row = element('tr');
		cells.forEach(([className, text, more], i) => {
			const cell = element('td', className, text);
			cell.dataset.label = labels[i];
			if (more)
				cell.append(more);
			row.append(cell);
		});
		return row;
	}));
	table.tHead.hidden = !rows.length;
	if (!rows.length) {
		const cell = element('td', 'none', none);
		cell.colSpan = labels.length;
		const row = element('tr');
		row.append(cell);
		table.tBodies[0].append(row);
	}
}

function count(n, bad) {
	return [`n${n ? bad ? ' bad' : '' : ' zero'}`, number.format(n)];
}

function showStations(f, now) {
	fill(by('stations'), f.stations.map((s) => {
		const doing = element('span', `doing ${s.doing}`);
		doing.append(element('i'), DOING[s.doing] || s.doing);
		const last = s.last ? ago(new Date(s.last), now) : '–';
		return [['head', s.name, s.named ? null : element('small', '', 'not named')], ['', '', doing],
			[`n${s.chips ? '' : ' zero'}`, s.quota ? `${s.chips} of ${s.quota}` : String(s.chips)],
			count(s.hour), count(s.installed), count(s.failed + s.burnt, true),
			['n', percent(s.installed, s.installed + s.failed + s.burnt)], count(s.doubts, true), ['', last]];
	}), 'No station has asked for anything yet.');
}

function showStock(f) {
	fill(by('stock'), f.stock.map((s) => {
		const p = s.packages, stack = element('div', 'stack');
		for (const [kind, n] of [['free', p.free], ['work', p.reserved + p.sent], ['installed', p.installed],
					 ['lost', p.failed + p.burnt]]) {
			if (!n)
				continue;
			const part = element('span', kind);
			part.style.flexGrow = n;
			part.style.minWidth = '3px';
			part.title = `${number.format(n)} ${kind}`;
			stack.append(part);
		}
		const all = !s.order && !s.operator && !s.profile;
		return [['head', all ? 'Older orders' : s.order || 'no order', s.operator ? element('small', '', s.operator) : null],
			['full', s.profile || '–'], ['share', '', stack], count(p.free), count(p.reserved), count(p.sent),
			count(p.installed), count(p.failed, true), count(p.burnt, true)];
	}), 'Nothing was delivered yet: ifpp-depot import takes deliveries in.');
}

// kind: how the bars look; ended: of how many it is, by label, if that is known
function showBars(id, list, name, kind, none, ended) {
	const sums = new Map();
	for (const one of list)
		sums.set(one[name] || '–', (sums.get(one[name] || '–') || 0) + one.packages);
	const sorted = [...sums].sort((a, b) => b[1] - a[1]).slice(0, 8);
	const most = sorted.length ? sorted[0][1] : 1;
	by(id).replaceChildren(...sorted.map(([label, n]) => {
		const line = element('li'), bar = element('span', `bar ${kind}`);
		bar.style.width = `${100 * n / most}%`;
		const of = ended && ended.get(label);
		line.append(element('span', 'label', label), element('b', '', number.format(n)), bar);
		if (of)
			line.append(element('small', '', `yield ${percent(of - n, of)} of ${number.format(of)}`));
		return line;
	}));
	if (!sorted.length)
		by(id).append(element('li', 'none', none));
}

// A package that was burnt has ended without a result.
function endedByFirmware(f) {
	const ended = new Map();
	const add = (name, n) => ended.set(name || '–', (ended.get(name || '–') || 0) + n);
	f.firmware.forEach((one) => add(one.name, one.results));
	f.failures.filter((one) => one.reason === 'burnt').forEach((one) => add(one.firmware, one.packages));
	return ended;
}

function drawn(tag, attributes, text) {
	const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [name, value] of Object.entries(attributes))
		e.setAttribute(name, value);
	if (text !== undefined)
		e.textContent = text;
	return e;
}

// The next number of the kind 1, 2, 5, 10...: what a scale may end with.
function round(n) {
	const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
	return [1, 2, 5, 10].map((m) => m * power).find((m) => m >= n) || 1;
}

function showHours(f) {
	const box = by('hours'), width = box.clientWidth || 800, height = 190, left = 44, top = 10, bottom = 24;
	const most = round(Math.max(4, ...f.hours.map((h) => Math.max(h.packages + h.lost, h.units))));
	const step = (width - left) / f.hours.length, y = (n) => top + (height - top - bottom) * (1 - n / most);
	const svg = drawn('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
	const hatch = drawn('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' });
	const points = [], every = Math.max(1, Math.ceil(46 / step));
	hatch.append(drawn('line', { class: 'hatch', x1: 2, y1: 0, x2: 2, y2: 6 }));
	svg.append(hatch);
	for (const part of [0, 0.5, 1]) {
		svg.append(drawn('line', { class: 'grid', x1: left, x2: width, y1: y(part * most), y2: y(part * most) }));
		svg.append(drawn('text', { x: left - 8, y: y(part * most) + 4, 'text-anchor': 'end' }, number.format(part * most)));
	}
	f.hours.forEach((h, i) => {
		const x = left + i * step + step * 0.15, w = step * 0.7;
		const group = drawn('g', {});
		group.append(drawn('title', {}, `${h.from.slice(11, 16)} UTC: ${h.packages} packages installed, ${h.lost} lost, ${h.units} units done`));
		group.append(drawn('rect', { x: left + i * step, y: top, width: step, height: height - top - bottom, fill: 'transparent' }));
		if (h.packages)
			group.append(drawn('rect', { class: 'bar', x, y: y(h.packages), width: w, height: y(0) - y(h.packages), rx: 2 }));
		if (h.lost)
			group.append(drawn('rect', { class: 'gone', x, y: y(h.packages + h.lost), width: w, height: y(h.packages) - y(h.packages + h.lost) }));
		points.push(`${x + w / 2},${y(h.units)}`);
		svg.append(group);
		if ((f.hours.length - 1 - i) % every === 0)
			svg.append(drawn('text', { x: x + w / 2, y: height - 6, 'text-anchor': 'middle' },
				new Date(h.from).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })));
	});
	svg.append(drawn('polyline', { class: 'unit', points: points.join(' ') }));
	box.replaceChildren(svg);
	box.setAttribute('aria-label', `Packages installed in each of the last 24 hours: ${f.hours.map((h) => h.packages).join(', ')}`);
}

function showTiles(f) {
	const units = sum(f.hours, (h) => h.units), packages = sum(f.hours, (h) => h.packages);
	const last = f.hours[f.hours.length - 1], ended = f.units.done + f.units.lost;
	const working = f.stations.filter((s) => s.doing === 'working' || s.doing === 'claimed');
	show('units_24h', number.format(units));
	show('units_note', `in 24 hours, ${number.format(last.units)} this hour`);
	show('packages_24h', number.format(packages));
	show('packages_note', `in 24 hours, ${number.format(last.packages)} this hour`);
	show('yield', percent(f.units.done, ended));
	show('yield_note', ended ? `${number.format(f.units.done)} of ${number.format(ended)} units that ended` : 'no unit has ended yet');
	show('free', number.format(f.packages.free));
	show('free_note', `packages, ${number.format(f.units.untouched)} whole units`);
	show('working', number.format(working.length));
	show('working_note', `of ${number.format(f.stations.length)} stations, ${number.format(sum(f.stations, (s) => s.chips))} chips`);
	show('doubts', number.format(sum(f.doubts, (d) => d.count)));
	by('tile-doubts').className = f.doubts.length ? 'bad' : '';
}

function showRest(f, now) {
	fill(by('doubts'), f.doubts.map((d) => [['head', d.station || '–'], ['full', d.why], count(d.count, true),
						 ['', ago(new Date(d.since), now)]]), 'There is none.');
}

function showExpiry(expiry, now) {
	fill(by('expiry'), expiry.map((e) => {
		const days = Math.floor((new Date(e.until) - now) / 86400000);
		return [['head', e.name || e.file, element('small', '', `${e.kind === 'crl' ? 'CRL, ' : ''}${e.file}`)],
			['', e.until.slice(0, 10)],
			days < 0 ? ['n bad', 'ended'] : [days < SOON_DAYS ? 'n bad' : 'n', number.format(days)]];
	}), 'No file could be read.');
}

function showDatabase(all, f) {
	const lines = [['Kind', all.engine], ['State', all.trouble ? 'does not answer' : 'answers', all.trouble],
		       ['Adding up takes', f ? `${number.format(f.took_ms)} ms` : '–'],
		       ['Packages', f ? number.format(sum(Object.values(f.packages), (n) => n)) : '–'],
		       ['Deliveries, whole', f ? number.format(f.deliveries.done) : '–'],
		       ['Begun', f ? number.format(f.deliveries.begun) : '–', f && f.deliveries.begun],
		       ['In conflict', f ? number.format(f.deliveries.conflict) : '–', f && f.deliveries.conflict]];
	by('database').replaceChildren(...lines.flatMap(([name, value, bad]) =>
		[element('dt', '', name), element('dd', bad ? 'bad' : '', value)]));
}

function alertsOf(all, f, now) {
	const found = [];
	if (all.trouble)
		found.push(['alarm', `The database does not answer since ${clock(new Date(all.trouble_since))}: ${all.trouble}. ` +
			(f ? 'What is shown is older.' : '')]);
	if (all.reload_trouble)
		found.push(['alarm', `Certificates, CRLs or CI roots cannot be read since ${clock(new Date(all.reload_trouble_since))}: ` +
			`${all.reload_trouble}. Put a good file there.`]);
	for (const e of all.expiry) {
		const days = Math.floor((new Date(e.until) - now) / 86400000);
		const what = `${e.kind === 'crl' ? 'The CRL' : 'The certificate'} ${e.name} in ${e.file}`;
		if (days < 0)
			found.push(['alarm', `${what} has ended on ${e.until.slice(0, 10)}.`]);
		else if (days < SOON_DAYS)
			found.push(['warning', `${what} ends in ${many(days, 'day', 'days')}, on ${e.until.slice(0, 10)}.`]);
	}
	if (!f)
		return found;
	const doubts = sum(f.doubts, (d) => d.count);
	if (doubts)
		found.push(['alarm', `${many(doubts, 'result', 'results')} that no chip has signed or nobody can prove: see ifpp-depot doubts; burn and unburn settle them.`]);
	const refused = sum(f.refusals, (r) => r.packages);
	if (refused)
		found.push(['warning', `${many(refused, 'package was', 'packages were')} refused by stations and not loaded: the reasons are below.`]);
	if (f.deliveries.conflict)
		found.push(['alarm', `${many(f.deliveries.conflict, 'delivery is', 'deliveries are')} in conflict: see ifpp-depot status.`]);
	if (f.deliveries.begun)
		found.push(['warning', `${many(f.deliveries.begun, 'delivery is', 'deliveries are')} not here whole: import again.`]);
	for (const s of f.stations)
		if (s.quota && s.chips >= s.quota && s.doing !== 'revoked')
			found.push(['warning', `${s.name} holds as many chips as it may (${s.quota}).`]);
	if (sum(Object.values(f.packages), (n) => n) && !f.packages.free)
		found.push(['warning', 'No package is free: stations get nothing for new units.']);
	return found;
}

function showAlerts(found) {
	const words = { alarm: 'Alarm', warning: 'Warning', good: 'Good' };
	found.sort((a, b) => (a[0] === 'alarm' ? 0 : 1) - (b[0] === 'alarm' ? 0 : 1));
	if (!found.length)
		found = [['good', 'Nothing needs attention.']];
	by('alerts').replaceChildren(...found.map(([kind, text]) => {
		const line = element('li', kind);
		line.append(element('b', '', words[kind]), element('span', '', text));
		return line;
	}));
}

function live(state, text) {
	by('live').dataset.state = state;
	by('live').querySelector('.text').textContent = text;
}

let last = null, heard = null;

function showAll(all) {
	const now = new Date(all.now), f = all.figures;
	const old = !f || all.trouble || now - new Date(f.at) > Math.max(OLD_MS, 40 * f.took_ms);
	by('engine').textContent = all.engine;
	showAlerts(alertsOf(all, f, now));
	showExpiry(all.expiry, now);
	showDatabase(all, f);
	live(old ? 'old' : 'live', old ? 'Not up to date' : 'Live');
	if (!f)
		return;
	showTiles(f);
	showHours(f);
	showStations(f, now);
	showStock(f);
	showBars('by-reason', f.failures, 'reason', 'lost', 'Nothing was lost.');
	showBars('by-station', f.failures, 'station', 'lost', 'Nothing was lost.');
	showBars('by-firmware', f.failures, 'firmware', 'lost', 'Nothing was lost.', endedByFirmware(f));
	showBars('refused-reason', f.refusals, 'reason', 'work', 'Nothing is refused.');
	showBars('refused-station', f.refusals, 'station', 'work', 'Nothing is refused.');
	showRest(f, now);
	by('at').textContent = `Figures of ${clock(new Date(f.at))}.`;
	document.body.dataset.at = f.at;
}

async function look() {
	try {
		const answer = await fetch('/figures.json', { signal: AbortSignal.timeout(PATIENCE), cache: 'no-store' });
		if (!answer.ok)
			throw new Error(`status ${answer.status}`);
		last = await answer.json();
		heard = new Date();
		showAll(last);
	} catch (error) {
		live('old', heard ? `No answer since ${clock(heard)}` : 'No answer');
	}
	setTimeout(look, PERIOD);
}

window.addEventListener('resize', () => last && last.figures && showHours(last.figures));
look();
