import { h } from './dom.js';
export const view = { id: 'progress', title: 'Progress', mount(root) { root.append(h('h1', { tabindex: '-1' }, 'Progress')); } };
