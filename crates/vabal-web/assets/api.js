// Talks to the server: requests, and its errors in plain words. Never here: what is shown, what is kept.

export class ApiError extends Error {
  /** `status` 0: no answer came, so that nobody knows whether the request was carried out. */
  constructor(status, error = {}) {
    const { what = 'the server had an error', where, expected, got, hint } = error;
    const given = (value) => value !== undefined && value !== null;
    let text = where ? `${what} (${where})` : what;
    if (given(expected)) text = `${sentence(text)} Expected ${expected}${given(got) ? `, got ${got}` : ''}.`;
    else text = sentence(given(got) ? `${text}: ${got}` : text);
    if (hint) text += ` ${sentence(hint)}`;
    super(text);
    this.status = status;
  }

  /** May the same request succeed later, without a change? */
  get passing() {
    return [0, 401, 403, 408, 429].includes(this.status) || this.status >= 500;
  }
}

/** Begins with a capital, unless it begins with a `name`, which stays as it is, and ends with a stop. */
export const sentence = (text, names = []) => {
  const trimmed = String(text).trim();
  const first = names.some((name) => trimmed.startsWith(name)) ? trimmed.charAt(0) : trimmed.charAt(0).toUpperCase();
  return first + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
};

/** An error of several lines, as the program prints it, in one paragraph. */
export function paragraph(text) {
  const [what, ...rest] = String(text)
    .split('\n')
    .map((line) => line.trim());
  const found = Object.fromEntries(rest.map((line) => /^(\w+): (.*)$/s.exec(line)?.slice(1) ?? ['hint', line]));
  return new ApiError(0, { ...found, what }).message;
}

const IN_WORDS = {
  401: {
    what: 'this page is no longer signed in',
    hint: 'paste the address that `vabal label` printed when it was last started; answers not yet saved are kept in this browser',
  },
  403: { what: 'the server refuses requests from this address', hint: 'open the address that `vabal label` printed' },
  413: { what: 'this is too large for the server', hint: 'split the file, or use `vabal import`' },
  507: {
    what: 'the disk is full',
    hint: 'free some space; answers not yet saved are kept in this browser and sent again',
  },
};

/** Asks the server; what comes back is fine, else it is an ApiError. */
async function ask(method, path, { body, type = 'application/json', signal, wait = 30_000, cache = 'no-store' } = {}) {
  const limits = [AbortSignal.timeout(wait), ...(signal ? [signal] : [])];
  let response;
  try {
    // Relative to the page, which a proxy may show below a path.
    response = await fetch(`.${path}`, {
      method,
      body: body === undefined || body instanceof Blob || typeof body === 'string' ? body : JSON.stringify(body),
      headers: body === undefined ? {} : { 'Content-Type': type },
      signal: limits.length === 1 ? limits[0] : AbortSignal.any(limits),
      credentials: 'same-origin',
      cache,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, {
      what: 'the server does not answer',
      hint: 'is `vabal label` still running? Answers not yet saved are kept in this browser',
    });
  }
  if (response.ok) return response;
  let error;
  try {
    ({ error } = await response.json());
  } catch {
    /* not JSON: say what the number means */
  }
  // The server speaks of its token, which nobody sees here.
  if (response.status === 401) error = IN_WORDS[401];
  throw new ApiError(
    response.status,
    error ?? IN_WORDS[response.status] ?? { what: `the server answered ${response.status}` },
  );
}

const read = async (response, how) => {
  try {
    return await response[how]();
  } catch {
    throw new ApiError(0, { what: 'the answer of the server broke off', hint: 'try again' });
  }
};

/** Asks for JSON. */
export const request = async (method, path, options) => read(await ask(method, path, options), 'json');

/** Signs in with the address that the program printed, or with its token alone. */
export async function signIn(text) {
  const given = /token=([^&#\s]+)/.exec(text)?.[1] ?? text.trim();
  await ask('GET', `/?token=${encodeURIComponent(given)}`);
}

/** Asks for bytes, which the browser may keep as long as the server says that they are the same. */
export const bytes = async (path) => read(await ask('GET', path, { wait: 120_000, cache: 'no-cache' }), 'arrayBuffer');

/** Asks for a file: its content, and the name the server gives it. */
export async function download(path) {
  const response = await ask('GET', path, { wait: 600_000 });
  const name = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? null;
  return { blob: await read(response, 'blob'), name };
}

export const get = (path, options) => request('GET', path, options);
export const post = (path, body, options) => request('POST', path, { body, ...options });
export const put = (path, body) => request('PUT', path, { body });
export const remove = (path) => request('DELETE', path, { body: {} });
export const patch = (path, body) => request('PATCH', path, { body });

/** A query string of what is set: `query({a: 1, b: null})` is `?a=1`. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== '');
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`;
}

export const imageAddress = (image) => `image/${image.id}`;
// The hash makes the address change with the content, so that the browser may keep it for ever.
export const thumbAddress = (image, size = 256) =>
  `thumb/${image.id}?size=${size}&hash=${String(image.hash).slice(0, 12)}`;
