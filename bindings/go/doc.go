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
// An [Engine] serves many requests at once, with the requests and answers of the OpenAI and Anthropic APIs as structs:
//
//	engine, err := mullama.OpenEngine(ctx, "model.gguf", mullama.WithNSlots(4))
//	stream, err := engine.ChatStream(ctx, mullama.ChatRequest{
//		Messages: []mullama.Message{{Role: "user", Content: "Explain quantum computing."}},
//	})
//	for piece, err := range stream.Pieces() {
//		...
//	}
//
// What a call needs is a parameter; what may be left out is an option, a function that begins with With. The type of an
// option says which calls take it.
//
// Errors of the library are of type [*Error]; errors.Is(err, mullama.ErrContextFull) compares with a code, and
// errors.Is(err, mullama.ErrResource) with a family of codes.
package mullama
