import { h } from './dom.js';
export const view = { id: 'review', title: 'Review', mount(root) { root.append(h('h1', { tabindex: '-1' }, 'Review')); } };
