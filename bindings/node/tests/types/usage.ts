// What TypeScript knows of the package; compiled, never run.
import mullama, {
  type ErrorCode,
  type GenerationResult,
  type TokenEvent,
  type AnswerStream,
  type ChatAnswer,
  type ChatPiece,
  type EmbeddingAnswer,
  type FunctionTool,
  type Message,
  type ToolCall,
  Context,
  Engine,
  Model,
  MullamaError,
  openLog,
} from 'mullama';
import { z } from 'zod';

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

const engine: Engine = new Engine('model.gguf', { nSlots: 8, fullBuffer: 'cancel' });
const messages: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }];
const weather: FunctionTool = {
  name: 'weather',
  parameters: z.object({ city: z.string() }),
  run: ({ city }: { city: string }, { signal }) => fetch(city, signal ? { signal } : {}),
};

export async function ask(): Promise<string> {
  const answer: ChatAnswer = await engine.chat(messages, { maxTokens: 5, stop: ['a'], tools: [weather], maxRounds: 3 });
  const total: number = answer.usage.totalTokens;
  const calls: ToolCall[] = answer.toolCalls;
  const content: string | null | undefined = answer.choices[0]?.message.content;
  const again = await engine.chat([...messages, { role: 'assistant', content: answer.text, toolCalls: calls }]);
  const stream: AnswerStream<ChatPiece, ChatAnswer> = engine.chat(messages, { stream: true, temperature: 0 });
  for await (const piece of stream) if (piece.text === 'x') break;
  const whole: ChatAnswer = await stream;
  const either = engine.complete('Once', { stream: total > 5, signal: AbortSignal.timeout(5) });
  const vectors: EmbeddingAnswer = await engine.embed(['a', 'b'], { dimensions: 8 });
  const numbers: number[] | undefined = vectors.data[0]?.embedding;
  const raw = engine.request('props');
  for await (const event of raw) console.log(event.data.anything, event.whole);
  console.log(again.toolRuns[0]?.error?.message, content, numbers, either, (await engine.rerank('a', ['b'])).results);
  return whole.text + (await engine.tokenize('a')).tokens.length + (await engine.detokenize(new Int32Array(2))).content;
}

// @ts-expect-error no such field
engine.chat(messages, { maxTokenz: 5 });
// @ts-expect-error no such part
engine.chat([{ role: 'user', content: [{ type: 'txt' }] }]);
// @ts-expect-error embeddings do not come in pieces
engine.embed('a', { stream: true });
// @ts-expect-error a stream is not an answer
const answered: ChatAnswer = engine.chat(messages, { stream: true });
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

export { answered, chat, figures, loaded, logits, mullama, size, state, text, tokens, wrong };
