package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "headstart.dev/gen/headstart/v1"
)

// retryDelay says whether a call may be made again, and after how long: as the server says, or a second where it
// cannot say anything.
func retryDelay(err error) (time.Duration, bool) {
	failed := status.Convert(err)
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration(), true
		}
	}
	return time.Second, failed.Code() == codes.Unavailable
}

// explain is what a person needs to know of an error.
func explain(err error) string {
	failed, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	lines := []string{fmt.Sprintf("%s: %s", failed.Code(), failed.Message())}
	for _, detail := range failed.Details() {
		switch kind := detail.(type) {
		case *errdetails.ErrorInfo:
			lines = append(lines, fmt.Sprintf("reason %s %v", kind.Reason, kind.Metadata))
		case *errdetails.BadRequest:
			for _, violation := range kind.FieldViolations {
				lines = append(lines, fmt.Sprintf("field %s: %s", violation.Field, violation.Description))
			}
		case *errdetails.RetryInfo:
			lines = append(lines, fmt.Sprintf("again in %s", kind.RetryDelay.AsDuration()))
		}
	}
	return strings.Join(lines, "\n")
}

// refused sends a bad CreateTrainJobRequest again and again, and counts what comes back.
func refused(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	bytes, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	request := &pb.CreateTrainJobRequest{}
	if err := proto.Unmarshal(bytes, request); err != nil {
		return err
	}
	answers := map[string]int{}
	for range count {
		_, err := pb.NewTrainingServiceClient(connection).CreateTrainJob(ctx, request)
		answers[explain(err)]++
	}
	for answer, times := range answers {
		fmt.Printf("%d times\n%s\n", times, answer)
	}
	return nil
}
