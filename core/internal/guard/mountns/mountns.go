// Package mountns runs tests in a mount namespace of their own.
package mountns
