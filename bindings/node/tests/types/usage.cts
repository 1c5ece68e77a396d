// The same package through require.
import mullama = require('mullama');

export const model: mullama.Model = new mullama.Model('model.gguf');
export const version: string = mullama.version();
