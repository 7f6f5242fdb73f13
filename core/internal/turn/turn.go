// Package turn lets a simulation decide when each goroutine goes on that has been woken. What wakes several at
// one virtual moment would otherwise have them act in any order, and the same seed tell two stories. Outside of
// a simulation it does nothing.
package turn

import "context"

type key struct{}

// turns is what a context knows of the goroutine that uses it.
type turns struct {
	name  string
	order func(name string) (wait func())
	wait  func()
}

// Order returns a context whose goroutines wait for their turns. For each name order returns what waits for
// the next turn of the goroutine, and returns at once when it is on.
func Order(ctx context.Context, name string, order func(name string) (wait func())) context.Context {
	return context.WithValue(ctx, key{}, &turns{name, order, order(name)})
}

// As returns the context for another goroutine, whose name is unique among those of ctx's. It is to be called by
// the one that starts it: what calls As at one moment does so in one order.
func As(ctx context.Context, name string) context.Context {
	t, ok := ctx.Value(key{}).(*turns)
	if !ok {
		return ctx
	}
	return Order(ctx, t.name+" "+name, t.order)
}

// Wait is to be called by a goroutine that has been started, or woken, with no lock held.
func Wait(ctx context.Context) {
	if t, ok := ctx.Value(key{}).(*turns); ok {
		t.wait()
	}
}
