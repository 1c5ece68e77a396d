// Package mullama is llama.cpp inside a Go program: it loads GGUF models, generates text whole or piece by piece, and gives
// access to tokens, logits, embeddings and memory.
//
//	model, err := mullama.LoadModel(ctx, "model.gguf")
//	session, err := model.CreateContext(ctx, mullama.WithNCtx(4096))
//	text, err := session.Generate(ctx, "Explain quantum computing.", mullama.WithMaxTokens(256))
//	for piece, err := range session.Stream(ctx, "Once upon a time", mullama.WithMaxTokens(64)) {
//		...
//	}
//
// What a call needs is a parameter; what may be left out is an option, a function that begins with With. The type of an
// option says which calls take it.
//
// Errors of the library are of type [*Error]; errors.Is(err, mullama.ErrContextFull) compares with a code, and
// errors.Is(err, mullama.ErrResource) with a family of codes.
package mullama
