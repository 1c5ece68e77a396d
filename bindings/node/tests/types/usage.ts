// What TypeScript knows of the package; compiled, never run.
import mullama, {
  type ErrorCode,
  type GenerationResult,
  type TokenEvent,
  Context,
  Model,
  MullamaError,
  openLog,
} from 'mullama';

const model: Model = new Model(new URL('file:///model.gguf'), {
  vocabOnly: false,
  progress: (fraction) => fraction < 0.5,
});
const loaded: Promise<Model> = Model.load('model.gguf', { signal: AbortSignal.timeout(1000) });
const context: Context = model.createContext({ nCtx: 4096, typeK: 'q8_0', flashAttention: 'on' });

const text: Promise<string> = context.generate('Once', {
  maxTokens: 5,
  stop: ['a'],
  seed: null,
  temperature: undefined,
});
const figures: Promise<GenerationResult> = context.generate({ tokens: new Int32Array(2), overflow: 'shift' }).result;
const chat = context.generate({ messages: [{ role: 'user', content: 'Hi' }], signal: new AbortController().signal });
const tokens: Int32Array = model.tokenize('Hello', { addSpecial: false });
const logits: Float32Array = context.logits(-1);
const state: Promise<Uint8Array> = context.saveState(0, { flags: ['partial_only'] });
const size: number | bigint = model.info.size;

export async function read(): Promise<string | undefined> {
  const stream = context.stream('Once', { maxTokens: 5 });
  for await (const piece of stream) if (piece.startsWith('x')) break;
  const reason = stream.result?.finishReason;
  if (reason === 'stop' || reason === 77) return stream.result?.stopText ?? undefined;
  await using generation = context.startGeneration('Once');
  for await (const event of generation) {
    const token: number = (event satisfies TokenEvent).token;
    if (token < 0) break;
  }
  using log = openLog({ fromStart: true });
  const entry = await log.next({ timeout: 10 });
  return entry?.text;
}

export function why(error: unknown): ErrorCode | string | undefined {
  return error instanceof MullamaError ? `${error.code} ${error.errno}` : undefined;
}

// @ts-expect-error a number for a string
model.tokenize(5);
// @ts-expect-error no such option
model.tokenize('Hello', { addSpecials: true });
// @ts-expect-error no such member
model.createContext({ typeK: 'q9' });
// @ts-expect-error it comes from model.createContext
new Context();
// @ts-expect-error a property
model.nVocab = 5;
// @ts-expect-error no signal on a constructor
new Model('model.gguf', { signal: AbortSignal.abort() });
// @ts-expect-error a promise is no string
const wrong: string = context.generate('Once');

export { chat, figures, loaded, logits, mullama, size, state, text, tokens, wrong };
