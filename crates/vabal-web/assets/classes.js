import { h } from './dom.js';
export const view = { id: 'classes', title: 'Classes', mount(root) { root.append(h('h1', { tabindex: '-1' }, 'Classes')); } };
