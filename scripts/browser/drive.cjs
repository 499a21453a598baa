// Drives the Chromium of the system for the browser tests of cmd/onnxgate/e2e.
//
//   node drive.cjs docs|cors '{"chromium": …, "profile": …, "spki": …, "api": …, …}'
//
// Prints what it saw as one JSON object; the Go test judges it. NODE_PATH names
// the folder with playwright-core.
'use strict';

const { chromium } = require('playwright-core');

const STEP = 30_000; // ms that one step may take; a net, not a measure

async function open(options) {
	const context = await chromium.launchPersistentContext(options.profile, {
		executablePath: options.chromium,
		headless: true,
		args: [
			'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
			'--disable-background-networking', '--disable-component-update', '--disable-sync',
			// Trusts this one key; every other certificate is checked as usual.
			`--ignore-certificate-errors-spki-list=${options.spki}`,
		],
	});
	context.setDefaultTimeout(STEP);
	return context;
}

// watch records everything that a page does wrong or asks of anybody else.
async function watch(page, api, seen) {
	Object.assign(seen, { errors: [], foreign: [], violations: [] });
	await page.exposeFunction('reportViolation', (text) => seen.violations.push(text));
	await page.addInitScript(() => {
		document.addEventListener('securitypolicyviolation', (e) =>
			window.reportViolation(`${e.violatedDirective} ${e.blockedURI}`));
	});
	page.on('pageerror', (error) => seen.errors.push(String(error)));
	page.on('console', (message) => {
		if (message.type() === 'error') seen.errors.push(message.text());
	});
	page.on('request', (request) => {
		const url = new URL(request.url());
		if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== api) seen.foreign.push(request.url());
	});
}

// docs reads the documentation as a newcomer does: authorise, try it out.
async function docs(context, { api, password }) {
	const seen = {};
	const page = await context.newPage();
	await watch(page, api, seen);
	await page.goto(`${api}/docs`);
	seen.title = await page.title();

	await page.locator('#samples').waitFor();
	seen.code = {};
	for (const tab of await page.locator('#samples-tabs').getByRole('tab').allInnerTexts()) {
		await page.locator('#samples-tabs').getByRole('tab', { name: tab, exact: true }).click();
		seen.code[tab] = await page.locator('#samples-code').innerText();
	}

	seen.first = {};
	for (const section of await page.locator('.opblock-tag-section').all()) {
		const tag = await section.locator('.opblock-tag').getAttribute('data-tag');
		seen.first[tag] = await section.locator('.opblock-summary-path').first().getAttribute('data-path');
	}

	await page.locator('button.authorize').first().click();
	const dialog = page.locator('.dialog-ux');
	const form = dialog.locator('.auth-container').filter({ hasText: 'OAuth2' });
	await form.locator('#oauth_username').fill('admin');
	await form.locator('#oauth_password').fill(password);
	await form.locator('button.authorize').click();
	await form.locator('button', { hasText: 'Logout' }).waitFor();
	await dialog.locator('button.btn-done').first().click();

	const predict = page.locator('.opblock-post').filter({
		has: page.locator('.opblock-summary-path[data-path="/predict"]'),
	});
	await predict.locator('.opblock-summary-control').first().click();
	await predict.getByRole('button', { name: 'Try it out' }).click();
	await predict.getByRole('button', { name: 'Execute' }).click();
	const live = predict.locator('.live-responses-table');
	await live.waitFor();
	seen.status = (await live.locator('.response-col_status').last().innerText()).trim();
	seen.response = await live.locator('.response-col_description').last().innerText();
	seen.cookies = await context.cookies();
	return seen;
}

// call runs in the page: a web application that logs in and predicts.
async function call({ api, password, row, calls }) {
	const form = new URLSearchParams({ grant_type: 'password', username: 'admin', password });
	const token = await fetch(`${api}/token`, { method: 'POST', body: form });
	const { access_token: bearer } = await token.json();
	const answers = [];
	for (let i = 0; i < calls; i++) {
		const response = await fetch(`${api}/predict`, {
			method: 'POST',
			headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' },
			body: row,
		});
		const headers = {};
		for (const name of ['RateLimit', 'RateLimit-Policy', 'Retry-After', 'X-Request-Id']) {
			headers[name] = response.headers.get(name);
		}
		answers.push({ status: response.status, headers, body: await response.text() });
	}
	return { token: token.status, answers };
}

// cors calls the API from a page of a listed origin, and from one of another.
async function cors(context, options) {
	const seen = {};
	for (const [name, origin] of [['listed', options.listed], ['unlisted', options.unlisted]]) {
		const page = await context.newPage();
		await page.goto(origin);
		try {
			seen[name] = await page.evaluate(call, options);
		} catch (error) {
			seen[name] = { error: String(error) };
		}
	}
	seen.cookies = await context.cookies();
	return seen;
}

async function main() {
	const [, , scenario, json] = process.argv;
	const options = JSON.parse(json);
	const context = await open(options);
	try {
		const seen = await { docs, cors }[scenario](context, options);
		process.stdout.write(JSON.stringify(seen));
	} finally {
		await context.close();
	}
}

main().catch((error) => {
	console.error(error);
	process.exitCode = 1;
});
