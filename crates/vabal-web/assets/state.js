// What the whole page knows: the project, its classes and counts, the person, what they prefer. Never here: views, requests.

export const state = {
  project: null,
  classes: [],
  counts: null,
  settings: null,
  round: 0,
  people: [],
  training: { state: 'idle' },
  until: null,
  person: '',
};

const listeners = new Map();
/** Calls `listener` at `event`: classes, counts, round, training, person, prefs, images, noted, guides, trouble. */
export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, new Set());
  listeners.get(event).add(listener);
}
export function emit(event, value) {
  for (const listener of listeners.get(event) ?? []) listener(value);
}

let byId = new Map();
export const classOf = (id) => (id === null || id === undefined ? null : (byId.get(id) ?? null));
export const className = (id) => classOf(id)?.name ?? 'a class that is gone';

export function setClasses(classes) {
  const shape = (list) => JSON.stringify(list.map(({ labels, ...rest }) => rest));
  const sorted = [...classes].sort((a, b) => a.place - b.place || a.id - b.id);
  const same = shape(sorted) === shape(state.classes);
  state.classes = sorted;
  byId = new Map(state.classes.map((one) => [one.id, one]));
  // Lists are built anew only when more than the counts has changed.
  emit(same ? 'labels' : 'classes');
}

/** Takes over the counts of labels that came with an answer. */
export function setLabels(counts) {
  let changed = false;
  for (const { id, labels } of counts ?? []) {
    const one = byId.get(id);
    if (one && one.labels !== labels) {
      one.labels = labels;
      changed = true;
    }
  }
  if (changed) emit('labels');
}

export function setCounts(counts) {
  if (!counts || JSON.stringify(counts) === JSON.stringify(state.counts)) return;
  state.counts = counts;
  emit('counts');
}

export function setProject(project) {
  Object.assign(state, { project, settings: project.settings, round: project.round, people: project.people ?? [] });
  setClasses(project.classes);
  setCounts(project.counts);
}

/** Takes over what every answer to a write brings. */
export function takeOver(result) {
  setLabels(result.classes);
  setCounts(result.counts);
  if (result.labels_until_training !== undefined) state.until = result.labels_until_training;
  emit('counts');
}

// What a person prefers is kept by the browser; where storage is forbidden it lasts as long as the page.
const memory = new Map();
export const store = {
  get(key) {
    try {
      return localStorage.getItem(key) ?? memory.get(key) ?? null;
    } catch {
      return memory.get(key) ?? null;
    }
  },
  set(key, value) {
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {
      /* kept in memory */
    }
  },
  remove(key) {
    memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {
      /* was in memory */
    }
  },
  keys(prefix) {
    const found = new Set([...memory.keys()]);
    try {
      for (let i = 0; i < localStorage.length; i += 1) found.add(localStorage.key(i));
    } catch {
      /* memory alone */
    }
    return [...found].filter((key) => key.startsWith(prefix)).sort();
  },
};

const PREFS = {
  suggestions: null,
  pixelated: false,
  duplicates: false,
  singleKeys: true,
  brightness: 1,
  contrast: 1,
  tile: 128,
  guide: false,
  mapBy: 'label',
};
export const prefs = { ...PREFS };
try {
  Object.assign(prefs, JSON.parse(store.get('vabal.prefs') ?? '{}'));
  // Older pages kept null: by the size of the image.
  prefs.pixelated ??= PREFS.pixelated;
} catch {
  /* unreadable: start anew */
}
export function setPref(name, value) {
  prefs[name] = value;
  store.set('vabal.prefs', JSON.stringify(prefs));
  emit('prefs', name);
}
// The name is asked once a browser: a cookie holds for every port of the host, and each project has one of its own.
const NAME = 'vabal-person';
const fromCookie = () => {
  const pair = document.cookie.split('; ').find((one) => one.startsWith(`${NAME}=`));
  try {
    return pair ? decodeURIComponent(pair.slice(NAME.length + 1)) : null;
  } catch {
    return null;
  }
};
state.person = store.get('vabal.person') ?? fromCookie() ?? '';
export function setPerson(name) {
  state.person = name;
  store.set('vabal.person', name);
  document.cookie = `${NAME}=${encodeURIComponent(name)}; path=/; max-age=31536000; samesite=strict`;
  emit('person');
}

/** Are suggestions shown? The person's choice goes before the project's. */
export const suggestionsShown = () => prefs.suggestions ?? !state.settings?.hide_suggestions;
