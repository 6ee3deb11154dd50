// Package httpx is the HTTP of the project: server, client, and the one table that maps error kinds to
// status codes. It is the only importer of fasthttp.
//
// fasthttp's hardened header parsers are used; its server loop and client are not. They read the start of
// every body before the handler runs, answer "100 Continue" before authorisation, reuse a request's memory
// while a body is still written, panic when a body is read late, cannot be cancelled by a context and
// retry on their own. Here a connection is one goroutine (connection.go) and a handler runs while both
// streams are still its own: Ctx.Send writes to the connection and returns when the last byte is out.
//
// httpx knows nothing of clusters or objects. A Route declares its limits in its Policy; NewRouter refuses
// routes that do not.
//
// Start at Route, Ctx and Server for the serving side, Client.Do for calls between nodes.
package httpx
