// Package wire is the part of the plugin contract that is not in the proto file: the handshake, the
// environment variables and the bounds. The contract itself is proto/plugin.proto; package pluginpb is
// generated from it.
package wire

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Name is the only name that is dispensed on a plugin connection.
const Name = "filewatch"

// MaxRequest bounds the paths in one request or batch, in bytes of their names. gRPC servers refuse
// messages above 4 MiB by default; the rest of a message stays far below the difference.
const MaxRequest = 1 << 20

// Window is what one side may send, in bytes, before the other has taken it: more than a request. That it is set
// keeps gRPC from measuring the connection, by a ping and an answer for each message: a fifth of all thread
// switches of daemon and plugins.
const Window = 2 * MaxRequest

// MaxUnwatched bounds the number of paths in one Unwatched message.
const MaxUnwatched = 1000

// Environment variables that filewatch sets for a plugin process.
const (
	// EnvLifeline is "stdin" when standard input is a pipe that filewatch holds open: at its end the
	// plugin exits.
	EnvLifeline = "FILEWATCH_LIFELINE"
	// EnvLogLevel is the least level worth writing, as in hclog.
	EnvLogLevel = "FILEWATCH_LOG_LEVEL"
	// EnvRunDir is a private directory with a short name for the plugin's own sockets. filewatch
	// removes it after the plugin's end.
	EnvRunDir = "FILEWATCH_RUN_DIR"
)

// Handshake tells a plugin that filewatch started it. It is a courtesy to people who run a plugin by
// hand, not a protection.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "FILEWATCH_PLUGIN",
	MagicCookieValue: "9c1b1c0d6f6e4f0f9a5e1c7b2d3a4958",
}

// Plugins returns what both sides hand to go-plugin, by major version of the protocol. A plugin's
// services are added by register; the host passes nil and gets a grpc.ClientConnInterface when it
// dispenses Name.
func Plugins(register func(*grpc.Server)) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{1: {Name: &grpcPlugin{register: register}}}
}

type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

var _ plugin.GRPCPlugin = (*grpcPlugin)(nil)

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	p.register(s)
	return nil
}

func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return grpc.ClientConnInterface(conn), nil
}
