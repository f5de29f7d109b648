// Command headstart shows what a client in Go does: train, follow a job across restarts of the server, predict, export,
// and read what is wrong with a request. All of it with gRPC's own defaults.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

//go:generate protoc -I ../../protos --go_out=. --go_opt=module=headstart.dev --go-grpc_out=. --go-grpc_opt=module=headstart.dev headstart/v1/dataset.proto headstart/v1/embedding.proto headstart/v1/evaluation.proto headstart/v1/export.proto headstart/v1/model.proto headstart/v1/prediction.proto headstart/v1/server.proto headstart/v1/spec.proto headstart/v1/table.proto headstart/v1/training.proto

type command struct {
	arguments string
	run       func(context.Context, *grpc.ClientConn, []string) error
}

var commands = map[string]command{
	"train":   {"SPEC.yaml DATA", train},
	"typed":   {"DATA", trainTyped},
	"watch":   {"trainJobs/ID", watchFromStart},
	"predict": {"models/ID", predict},
	"export":  {"models/ID FOLDER", export},
	"refused": {"REQUEST COUNT", refused},
}

func main() {
	if len(os.Args) < 3 || commands[os.Args[2]].run == nil {
		fmt.Fprintln(os.Stderr, "usage: headstart HOST:PORT COMMAND ...")
		for name, command := range commands {
			fmt.Fprintln(os.Stderr, " ", name, command.arguments)
		}
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		err = commands[os.Args[2]].run(ctx, connection, os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}
