import { h } from './dom.js';
export const view = { id: 'exchange', title: 'In and out', mount(root) { root.append(h('h1', { tabindex: '-1' }, 'In and out')); } };
