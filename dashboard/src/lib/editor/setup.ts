/** CodeMirror as this dashboard wants it: languages, colours by the theme's tokens, keys, the SDK. */
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  snippetCompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  indentUnit,
  StreamLanguage,
  syntaxHighlighting,
} from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { EditorState, type Extension } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  hoverTooltip,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { asked, candidates, documented } from './completion';
import { rhai } from './rhai';
import { sdk, type Definition, type Namespace } from './sdk';

/** The language of a file, by its name. Each is fetched when the first such file is opened. */
export async function language(path: string): Promise<Extension> {
  switch (path.slice(path.lastIndexOf('.') + 1)) {
    case 'rhai':
      return [rhai, rhai.data.of({ autocomplete: complete }), hoverTooltip(hover)];
    case 'toml':
      return StreamLanguage.define((await import('@codemirror/legacy-modes/mode/toml')).toml);
    case 'html':
    case 'htm':
    case 'svg':
      return (await import('@codemirror/lang-html')).html();
    case 'css':
      return (await import('@codemirror/lang-css')).css();
    case 'json':
      return (await import('@codemirror/lang-json')).json();
    case 'js':
    case 'mjs':
      return (await import('@codemirror/lang-javascript')).javascript();
    case 'md':
      return (await import('@codemirror/lang-markdown')).markdown();
    default:
      return [];
  }
}

/** All but the language, and what the page has to say about changes and keys. */
export function basics(path: string): Extension {
  return [
    lineNumbers(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    history(),
    foldGutter(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(true),
    EditorState.tabSize.of(4),
    indentUnit.of(/\.(rhai|toml)$/.test(path) ? '    ' : '  '),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    autocompletion({ icons: false }),
    highlightSelectionMatches(),
    keymap.of([
      { key: 'Tab', run: acceptCompletion },
      ...closeBracketsKeymap,
      ...defaultKeymap.filter(({ key }) => key !== 'Mod-Enter'),
      ...searchKeymap,
      ...historyKeymap,
      ...foldKeymap,
      ...completionKeymap,
      ...lintKeymap,
      indentWithTab,
    ]),
    syntaxHighlighting(colours),
    look,
    overSelection,
    // Reached by the Tab key in each browser, as what scrolls has to be.
    EditorView.contentAttributes.of({ 'aria-label': path, spellcheck: 'false', tabindex: '0' }),
  ];
}

/**
 * What is typed over a selection. Left to itself, Chromium keeps the looks of what
 * was selected in a style attribute, which the page's policy refuses, and says so.
 */
const overSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { data } = event;
    const { main, ranges } = view.state.selection;
    if (event.inputType !== 'insertText' || data === null || view.composing) return false;
    if (main.empty || ranges.length > 1) return false;
    event.preventDefault();
    const insert = () =>
      view.state.update(view.state.replaceSelection(data), {
        userEvent: 'input.type',
        scrollIntoView: true,
      });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handle) => handle(view, main.from, main.to, data, insert)))
      view.dispatch(insert());
    return true;
  },
});

const colours = HighlightStyle.define([
  { tag: tags.comment, color: 'var(--text-soft)', fontStyle: 'italic' },
  { tag: [tags.keyword, tags.modifier], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.atom, tags.null], color: 'var(--code-number)' },
  {
    tag: [tags.function(tags.variableName), tags.function(tags.propertyName)],
    color: 'var(--code-name)',
  },
  { tag: [tags.namespace, tags.typeName, tags.className, tags.tagName], color: 'var(--accent)' },
  { tag: [tags.attributeName, tags.propertyName], color: 'var(--code-property)' },
  { tag: tags.heading, fontWeight: '650' },
  { tag: tags.emphasis, fontStyle: 'italic' },
  { tag: tags.strong, fontWeight: '650' },
  { tag: tags.link, color: 'var(--accent)' },
]);

const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--surface)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontSize: 'var(--code-size)', lineHeight: '1.6' },
  '.cm-content': { caretColor: 'var(--text)', padding: '0.5rem 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': {
    backgroundColor: 'var(--surface)',
    color: 'var(--text-soft)',
    border: 'none',
  },
  '.cm-lineNumbers .cm-gutterElement': { minWidth: '2.75rem' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
  '.cm-activeLineGutter': { color: 'var(--text)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground':
    { backgroundColor: 'color-mix(in oklch, var(--accent) 22%, transparent)' },
  '.cm-selectionMatch': { backgroundColor: 'var(--accent-soft)' },
  '&.cm-focused .cm-matchingBracket': {
    backgroundColor: 'var(--accent-soft)',
    outline: '1px solid var(--line-strong)',
  },
  '.cm-foldPlaceholder': {
    backgroundColor: 'var(--sunken)',
    border: '1px solid var(--line)',
    color: 'var(--text-soft)',
  },
  '.cm-tooltip, .cm-panels': {
    backgroundColor: 'var(--raised)',
    color: 'var(--text)',
    border: '1px solid var(--line-strong)',
  },
  '.cm-tooltip': { borderRadius: '8px', boxShadow: 'var(--shadow-high)', overflow: 'hidden' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    fontFamily: 'var(--mono)',
    fontSize: '0.8125rem',
    maxHeight: '16rem',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '0.1875rem 0.625rem' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    backgroundColor: 'var(--accent-soft)',
    color: 'var(--text)',
  },
  '.cm-completionMatchedText': {
    color: 'var(--accent)',
    textDecoration: 'none',
    fontWeight: '650',
  },
  '.cm-completionDetail': { color: 'var(--text-soft)', fontStyle: 'normal' },
  '.cm-tooltip.cm-completionInfo': { padding: '0', maxWidth: '28rem', overflow: 'auto' },
  '.sdk': {
    padding: '0.625rem 0.75rem',
    maxWidth: '30rem',
    fontFamily: 'var(--sans)',
    fontSize: '0.8125rem',
  },
  '.sdk code, .sdk pre': { fontFamily: 'var(--mono)', fontSize: '0.75rem' },
  '.sdk .signature': { display: 'block', color: 'var(--accent)', fontWeight: '600' },
  '.sdk p': { margin: '0.375rem 0 0' },
  '.sdk pre': {
    margin: '0.5rem 0 0',
    padding: '0.5rem',
    borderRadius: '5px',
    backgroundColor: 'var(--sunken)',
    overflow: 'auto',
    maxHeight: '11rem',
  },
  '.cm-diagnostic': { padding: '0.375rem 0.75rem', fontFamily: 'var(--sans)' },
  '.cm-diagnostic-error': { borderLeft: '3px solid var(--bad)' },
  '.cm-diagnostic-warning': { borderLeft: '3px solid var(--warn)' },
  '.cm-panels input, .cm-panels button': {
    font: 'inherit',
    color: 'var(--text)',
    background: 'var(--surface)',
    border: '1px solid var(--field-line)',
    borderRadius: '5px',
  },
});

async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const namespaces = await sdk();
  const text = context.state.sliceDoc(0, context.pos);
  const what = asked(text, namespaces);
  if (what === null || (what.of === null && what.word === '' && !context.explicit)) return null;
  const options = candidates(what, namespaces).map(option);
  if (what.of === null) {
    options.push(
      ...namespaces.map((each): Completion => ({
        label: each.name,
        apply: `${each.name}::`,
        detail: 'namespace',
        type: 'namespace',
        info: () => documentation(each),
      })),
      ...words(context.state.doc.toString(), what.word).map((label): Completion => ({
        label,
        type: 'variable',
      })),
      ...SNIPPETS,
    );
  }
  const labels = new Set<string>();
  const distinct = options.filter(({ label }) => !labels.has(label) && labels.add(label));
  return { from: what.from, options: distinct, validFor: /^\w*$/ };
}

const SNIPPETS = [
  snippetCompletion('fn ${name}(${req}) {\n    ${}\n}', { label: 'fn', detail: 'a function' }),
  snippetCompletion('if ${condition} {\n    ${}\n}', { label: 'if', detail: 'a condition' }),
  snippetCompletion('for ${item} in ${items} {\n    ${}\n}', { label: 'for', detail: 'a loop' }),
  snippetCompletion('try {\n    ${}\n} catch (${error}) {\n    ${}\n}', {
    label: 'try',
    detail: 'handle errors',
  }),
  ...[
    'let',
    'const',
    'return',
    'throw',
    'while',
    'switch',
    'import',
    'private',
    'true',
    'false',
  ].map((label): Completion => ({ label, type: 'keyword' })),
];

/** The names that the script itself gives. */
function words(text: string, without: string): string[] {
  const found = text.matchAll(/\b(?:fn|let|const|for)\s+(\w+)/g);
  return [...new Set([...found].map(([, name]) => name ?? ''))].filter((name) => name !== without);
}

function option(definition: Definition): Completion {
  const signature = definition.signatures[0] ?? definition.name;
  const parameters = /\(([^)]*)\)/.exec(signature)?.[1];
  const { name: label } = definition;
  const shown = {
    label,
    detail: parameters === undefined ? '' : `(${parameters})`,
    type: definition.kind,
    info: () => documentation(definition),
  };
  return parameters === undefined
    ? shown
    : snippetCompletion(parameters === '' ? `${label}()` : `${label}(\${})`, shown);
}

async function hover(view: EditorView, position: number) {
  const found = documented(view.state.doc.toString(), position, await sdk());
  if (found === null) return null;
  const { from, to, what } = found;
  return { pos: from, end: to, above: true, create: () => ({ dom: documentation(what) }) };
}

/** What the reference says, as elements; all of it is text. */
function documentation(what: Definition | Namespace): HTMLElement {
  const element = document.createElement('div');
  element.className = 'sdk';
  const add = (tag: string, text: string, className = '') => {
    const child = document.createElement(tag);
    child.textContent = text;
    child.className = className;
    element.append(child);
  };
  if ('definitions' in what) {
    add('code', `${what.name}::`, 'signature');
    add('p', what.doc);
    return element;
  }
  for (const signature of what.signatures) add('code', signature, 'signature');
  add('p', what.doc);
  if (what.example !== '') add('pre', what.example);
  return element;
}
