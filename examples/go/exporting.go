package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	pb "headstart.dev/gen/headstart/v1"
)

// export has a model exported as ONNX, and downloads it into a folder.
func export(ctx context.Context, connection *grpc.ClientConn, arguments []string) error {
	stream, err := pb.NewExportServiceClient(connection).Export(ctx, &pb.ExportRequest{
		Model: arguments[0], Format: pb.Artifact_FORMAT_ONNX,
	})
	if err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if progress := response.GetProgress(); progress != nil {
			fmt.Println(progress.Stage, progress.Message)
		}
		if artifact := response.GetArtifact(); artifact != nil {
			return download(ctx, connection, artifact, arguments[1])
		}
	}
}

func download(ctx context.Context, connection *grpc.ClientConn, artifact *pb.Artifact, folder string) error {
	for _, file := range artifact.Files {
		local, err := filepath.Localize(file.Path) // refuses what leads out of the folder
		if err != nil {
			return err
		}
		path := filepath.Join(folder, local)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := fetch(ctx, connection, artifact.Name, file, path); err != nil {
			return err
		}
		fmt.Println(file.Sha256, file.Path)
	}
	return nil
}

// fetch downloads one file, going on from where a broken stream ended, and compares its digest.
func fetch(ctx context.Context, connection *grpc.ClientConn, artifact string, file *pb.ArtifactFile, path string) error {
	target, err := os.Create(path)
	if err != nil {
		return err
	}
	defer target.Close()
	digest, offset := sha256.New(), int64(0)
	for offset < file.SizeBytes {
		sent, err := receive(ctx, connection, artifact, file.Path, offset, io.MultiWriter(target, digest))
		offset += sent
		if wait, again := retryDelay(err); err != nil && !again {
			return err
		} else if err != nil {
			time.Sleep(wait)
		}
	}
	if found := hex.EncodeToString(digest.Sum(nil)); found != file.Sha256 {
		return fmt.Errorf("%s: SHA-256 is %s in place of %s", file.Path, found, file.Sha256)
	}
	return target.Close()
}

// receive writes what one stream brings from an offset on, and returns how much that was.
func receive(ctx context.Context, connection *grpc.ClientConn, artifact, path string, offset int64, to io.Writer) (int64, error) {
	request := &pb.DownloadArtifactRequest{Name: artifact, Path: path, Offset: offset}
	stream, err := pb.NewExportServiceClient(connection).DownloadArtifact(ctx, request)
	if err != nil {
		return 0, err
	}
	sent := int64(0)
	for {
		chunk, err := stream.Recv()
		if err == io.EOF {
			return sent, nil
		} else if err != nil {
			return sent, err
		}
		if _, err := to.Write(chunk.Data); err != nil {
			return sent, err
		}
		sent += int64(len(chunk.Data))
	}
}
