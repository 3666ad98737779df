import { h } from './dom.js';
export const view = { id: 'browse', title: 'Browse', mount(root) { root.append(h('h1', { tabindex: '-1' }, 'Browse')); } };
