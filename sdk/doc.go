// Package sdk is all that the author of a filewatch plugin imports.
//
// A plugin is a program that watches directories (Watcher), transfers changes (Transport), or both:
//
//	func main() { sdk.Serve(sdk.Plugin{Name: "copy", Version: "1.0.0", Transport: &Transport{}}) }
//
// filewatch starts it, talks to it over gRPC on a private socket, restarts it when it dies, and ends
// it by closing its standard input. Serve does the plugin's half of all of this.
//
// A plugin that takes configuration implements Configurable; one that wants to judge it before
// anything runs implements Validator. Both are optional.
package sdk
