// Package isolate runs tests in a process of their own: in other namespaces or as another user, so that mounts
// and limits of the machine are left alone. It is for Linux.
package isolate
