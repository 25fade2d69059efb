/** Rhai for CodeMirror: what is a word, a string or a comment, and how far to indent. */
import { StreamLanguage, type StringStream } from '@codemirror/language';

interface State {
  /** What is open, innermost last: braces, and strings with their insides. */
  open: ('{' | '(' | '[' | '`' | '${')[];
  /** How many block comments are around; Rhai's nest. */
  comments: number;
}

const KEYWORDS = new Set(
  'if else switch do while until loop for in break continue return throw try catch import export as private fn let const global'.split(
    ' ',
  ),
);
const ATOMS = new Set(['true', 'false', 'this']);
const BUILTIN = new Set(
  'print debug eval type_of is_def_var is_def_fn is_shared curry call Fn len'.split(' '),
);

export const rhai = StreamLanguage.define<State>({
  name: 'rhai',
  startState: () => ({ open: [], comments: 0 }),
  copyState: ({ open, comments }) => ({ open: [...open], comments }),
  token,
  indent(state, textAfter, context) {
    if (state.comments > 0 || state.open.at(-1) === '`') return null;
    const closing = /^\s*[\])}]/.test(textAfter) ? 1 : 0;
    const depth = state.open.filter((each) => each !== '`' && each !== '${').length;
    return Math.max(0, depth - closing) * context.unit;
  },
  languageData: {
    commentTokens: { line: '//', block: { open: '/*', close: '*/' } },
    closeBrackets: { brackets: ['(', '[', '{', '"', '`'] },
    indentOnInput: /^\s*[\])}]$/,
  },
});

function token(stream: StringStream, state: State): string | null {
  if (state.comments > 0) return blockComment(stream, state);
  if (state.open.at(-1) === '`') return template(stream, state);
  if (stream.eatSpace()) return null;
  if (stream.match('//')) {
    stream.skipToEnd();
    return 'comment';
  }
  if (stream.match('/*')) {
    state.comments = 1;
    return blockComment(stream, state);
  }
  if (stream.match('"')) return quoted(stream, '"', 'string');
  if (stream.match(/^'(?:\\.[^']*|[^'\\])'/)) return 'string';
  if (stream.match('`')) {
    state.open.push('`');
    return 'string';
  }
  if (stream.match(/^0x[\da-f_]+|^0b[01_]+|^0o[0-7_]+|^\d[\d_]*(?:\.\d[\d_]*)?(?:e[+-]?\d+)?/i)) {
    return 'number';
  }
  if (stream.match('#{')) {
    state.open.push('{');
    return 'bracket';
  }
  const character = stream.peek() ?? '';
  if ('{(['.includes(character)) {
    stream.next();
    state.open.push(character as '{' | '(' | '[');
    return 'bracket';
  }
  if ('})]'.includes(character)) {
    stream.next();
    return state.open.pop() === '${' ? 'string' : 'bracket';
  }
  const word = stream.match(/^[A-Za-z_]\w*/) as RegExpMatchArray | null;
  if (word) return kindOf(word[0], stream);
  if (stream.match(/^(?:[-+*/%=<>!&|^~?]+|\.\.=?)/)) return 'operator';
  stream.next();
  return null;
}

function kindOf(word: string, stream: StringStream): string {
  const before = stream.string.slice(0, stream.start);
  if (/(?:^|[^.])\.$|\?\.$/.test(before)) {
    return stream.match(/^\s*\(/, false) ? 'propertyName.function' : 'propertyName';
  }
  if (stream.match(/^\s*::/, false)) return 'namespace';
  if (KEYWORDS.has(word)) return 'keyword';
  if (ATOMS.has(word)) return 'atom';
  if (/\bfn\s+$/.test(before)) return 'variableName.function.definition';
  if (stream.match(/^\s*\(/, false)) {
    return BUILTIN.has(word) ? 'variableName.standard' : 'variableName.function';
  }
  return /^[A-Z][A-Z\d_]+$/.test(word) ? 'variableName.constant' : 'variableName';
}

function quoted(stream: StringStream, end: string, kind: string): string {
  for (let character = stream.next(); character && character !== end; character = stream.next()) {
    if (character === '\\') stream.next();
  }
  return kind;
}

/** The text of a back-quoted string, up to its end or to a `${`. */
function template(stream: StringStream, state: State): string {
  while (!stream.eol()) {
    if (stream.match('${')) {
      state.open.push('${');
      return 'string';
    }
    if (stream.next() === '`') {
      state.open.pop();
      return 'string';
    }
    if (stream.match('${', false)) return 'string';
  }
  return 'string';
}

function blockComment(stream: StringStream, state: State): string {
  while (!stream.eol()) {
    if (stream.match('/*')) state.comments++;
    else if (stream.match('*/')) {
      if (--state.comments === 0) return 'comment';
    } else stream.next();
  }
  return 'comment';
}
