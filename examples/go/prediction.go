package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	pb "headstart.dev/gen/headstart/v1"
)

// predict answers two rows, and gives up after half a minute.
func predict(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	strings := func(name string, values ...string) *pb.Column {
		return &pb.Column{Name: name, Values: &pb.Column_Strings{Strings: &pb.StringValues{Values: values}}}
	}
	prices := &pb.Column_Doubles{Doubles: &pb.DoubleValues{Values: []float64{20, 35}}}
	answer, err := pb.NewPredictionServiceClient(connection).Predict(ctx, &pb.PredictRequest{
		Model: arguments[0],
		Table: &pb.Table{Columns: []*pb.Column{
			strings("review", "Broke on day one.", "The best present I have given in years."),
			{Name: "price", Values: prices},
			strings("category", "garden", "travel"),
		}},
		Probabilities: true,
	})
	if err != nil {
		return err
	}
	output := answer.Outputs[0]
	width := len(output.Classes)
	for row, label := range output.GetLabels().Values {
		fmt.Println(label, output.Classes, output.Probabilities[row*width:(row+1)*width])
	}
	return nil
}
