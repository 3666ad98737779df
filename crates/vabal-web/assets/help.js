// The overlay of keys: what each does, and how to change it. Never here: what a command does.

import { button, dialog, h, put, say } from './dom.js';
import { emit, prefs, setPref, state } from './state.js';
import { bindingOf, bindings, classKeys, COMMANDS, rebind, resetKeys, shown } from './keys.js';

let waiting = null;

/** Opens the help. */
export function help() {
  waiting = null;
  return dialog(
    'Keys',
    () => {
      const body = h('div', { className: 'help-body' });
      body.addEventListener('keydown', (event) => {
        if (!waiting) return;
        if (event.key === 'Tab') {
          waiting = null;
          draw(body);
          return;
        }
        event.preventDefault();
        event.stopPropagation();
        if (event.key === 'Escape') {
          const id = waiting;
          waiting = null;
          draw(body, id);
          return;
        }
        const binding = bindingOf(event);
        if (!binding) return;
        const one = classKeys().find(({ code, one: owner }) => code === binding && owner.key === code);
        if (one) {
          body.querySelector('[role=status]').textContent =
            `${shown(binding)} is the key of the class ${one.one.name}.`;
          return;
        }
        const id = waiting;
        waiting = null;
        rebind(id, binding);
        emit('keys');
        draw(body, id);
        say(`${shown(binding)}: ${COMMANDS.find((command) => command.id === id).text}`);
      });
      draw(body);
      return [body];
    },
    { className: 'wide-dialog help' },
  );
}

function draw(body, focus = null) {
  const keys = classKeys();
  const groups = [...new Set(COMMANDS.map((command) => command.group))];
  const single = h('input', {
    type: 'checkbox',
    checked: prefs.singleKeys,
    on: { change: () => setPref('singleKeys', single.checked) },
  });
  put(
    body,
    h(
      'p',
      { className: 'hint', role: 'status' },
      'A class key labels, saves and moves on. Keys go by their place on the keyboard, so that they work on any layout.',
    ),
    h(
      'div',
      { className: 'help-grid' },
      h(
        'section',
        {},
        h('h3', {}, 'Classes'),
        keys.length === 0
          ? h('p', { className: 'hint' }, 'No classes yet.')
          : h(
              'ul',
              { className: 'keys' },
              keys
                .slice(0, 40)
                .map(({ one, code }) =>
                  h('li', {}, h('span', { className: 'class-name' }, one.name), h('kbd', {}, shown(code))),
                ),
            ),
        h(
          'p',
          { className: 'hint' },
          state.classes.length > keys.length ? 'The rest are found with / and letters of their name. ' : '',
          'Keys of classes are changed in the view Classes.',
        ),
      ),
      groups.map((group) =>
        h(
          'section',
          {},
          h('h3', {}, group),
          h(
            'ul',
            { className: 'keys' },
            COMMANDS.filter((command) => command.group === group).map((command) =>
              h(
                'li',
                {},
                h('span', {}, command.text),
                waiting === command.id
                  ? h('span', { className: 'catch-inline' }, 'Press a key')
                  : h(
                      'span',
                      { className: 'kbds' },
                      [...new Set(bindings(command.id).map(shown))].map((one) => h('kbd', {}, one)),
                      bindings(command.id).length === 0 ? h('span', { className: 'hint' }, 'no key') : null,
                    ),
                button('Change', {
                  className: 'link',
                  id: `change-${command.id}`,
                  'aria-label': `Change the key: ${command.text}`,
                  on: {
                    click: () => {
                      waiting = command.id;
                      draw(body, command.id);
                    },
                  },
                }),
              ),
            ),
          ),
        ),
      ),
    ),
    h(
      'div',
      { className: 'row end' },
      h(
        'label',
        { className: 'check grow' },
        single,
        h('span', {}, 'Single keys act (turn off when you speak to your computer)'),
      ),
      button('Keys as delivered', {
        on: {
          click: () => {
            resetKeys();
            emit('keys');
            draw(body);
            say('Keys as delivered');
          },
        },
      }),
    ),
  );
  if (focus) body.querySelector(`#change-${focus}`)?.focus();
}
