package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "headstart.dev/gen/headstart/v1"
)

const patience = 5 * time.Minute // longer than a server takes to restart

// train creates a job from a file of YAML, drops the stream after the first event, and follows the job from there.
func train(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	yaml, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	following, drop := context.WithCancel(ctx)
	defer drop()
	stream, err := pb.NewTrainingServiceClient(connection).TrainJob(following, &pb.TrainJobRequest{
		RequestId:  rand.Text(), // with it, the call may be repeated: it creates one job
		SpecSource: &pb.TrainJobRequest_SpecYaml{SpecYaml: string(yaml)},
		Dataset:    &pb.DatasetSource{Source: &pb.DatasetSource_Path{Path: arguments[1]}},
	})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	show(first.Event)
	drop() // the job goes on
	return watch(ctx, connection, first.Event.Job, first.Event.Sequence)
}

// trainTyped creates a job from a spec that the compiler has checked.
func trainTyped(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	encoder := &pb.Encoder{
		Type:                      proto.String("auto_transformer"),
		PretrainedModelNameOrPath: proto.String("sentence-transformers/all-MiniLM-L6-v2"),
		Trainable:                 proto.Bool(false),
	}
	job, err := pb.NewTrainingServiceClient(connection).CreateTrainJob(ctx, &pb.CreateTrainJobRequest{
		RequestId: rand.Text(),
		SpecSource: &pb.CreateTrainJobRequest_Spec{Spec: &pb.TrainSpec{
			InputFeatures: []*pb.Feature{
				{Name: "review", Type: "text", Encoder: encoder},
				{Name: "price", Type: "number"},
				{Name: "category", Type: "category"},
			},
			OutputFeatures: []*pb.Feature{{Name: "recommended", Type: "category"}},
			Trainer:        &pb.Trainer{Epochs: proto.Int32(3)},
		}},
		Dataset: &pb.DatasetSource{Source: &pb.DatasetSource_Path{Path: arguments[0]}},
		Labels:  map[string]string{"client": "go"},
	})
	if err != nil {
		return err
	}
	return watch(ctx, connection, job.Name, 0)
}

func watchFromStart(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	return watch(ctx, connection, arguments[0], 0)
}

// watch follows a job to its end from after an event's number, whatever becomes of the stream meanwhile.
func watch(ctx context.Context, connection *grpc.ClientConn, job string, after int64) error {
	heard := time.Now()
	for {
		err := follow(ctx, connection, job, func(event *pb.TrainJobEvent) {
			after, heard = event.Sequence, time.Now()
			show(event)
		}, after)
		if err == nil {
			return nil
		}
		wait, again := retryDelay(err)
		if !again || time.Since(heard) > patience {
			return err
		}
		fmt.Printf("broken after %d by %s, again in %s\n", after, status.Code(err), wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// follow reads one stream and tells its events, heartbeats among them; it returns nil where the job has ended.
func follow(ctx context.Context, connection *grpc.ClientConn, job string, tell func(*pb.TrainJobEvent), after int64) error {
	request := &pb.WatchTrainJobRequest{Name: job, AfterSequence: after, HeartbeatSeconds: 20}
	stream, err := pb.NewTrainingServiceClient(connection).WatchTrainJob(ctx, request)
	if err != nil {
		return err
	}
	for silent := true; ; silent = false {
		response, err := stream.Recv()
		if err == io.EOF && silent {
			return nil // the job had ended, and all of its events are known
		}
		if err == io.EOF {
			err = status.Error(codes.Unavailable, "the stream ended before the job")
		}
		if err != nil {
			return err
		}
		tell(response.Event)
		if response.Event.Terminal {
			return nil
		}
	}
}

// show prints an event; kinds that are not known here, as a later server may send, are passed over.
func show(event *pb.TrainJobEvent) {
	switch kind := event.Event.(type) {
	case *pb.TrainJobEvent_Heartbeat:
		return
	case *pb.TrainJobEvent_StateChange:
		fmt.Println(event.Sequence, event.Job, kind.StateChange.State, kind.StateChange.GetError().GetMessage())
	case *pb.TrainJobEvent_EpochFinished:
		fmt.Println(event.Sequence, "epoch", kind.EpochFinished.Epoch, kind.EpochFinished.Validation)
	case *pb.TrainJobEvent_ModelPublished:
		fmt.Println(event.Sequence, "published", kind.ModelPublished.Model)
	default:
		fmt.Println(event.Sequence)
	}
}
