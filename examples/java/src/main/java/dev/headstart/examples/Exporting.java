package dev.headstart.examples;

import dev.headstart.v1.Artifact;
import dev.headstart.v1.ArtifactFile;
import dev.headstart.v1.DownloadArtifactRequest;
import dev.headstart.v1.ExportRequest;
import dev.headstart.v1.ExportServiceGrpc;
import io.grpc.Channel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.HexFormat;

/** Has models exported, and downloads them. */
final class Exporting {
  /** Has a model exported as ONNX, and downloads it into a folder. */
  static void export(Channel channel, String model, String folder) throws Exception {
    var request = ExportRequest.newBuilder().setModel(model).setFormat(Artifact.Format.FORMAT_ONNX).build();
    var stream = ExportServiceGrpc.newBlockingStub(channel).export(request);
    while (stream.hasNext()) {
      var response = stream.next();
      if (response.hasProgress()) {
        System.out.println(response.getProgress().getStage() + " " + response.getProgress().getMessage());
      }
      if (response.hasArtifact()) {
        download(channel, response.getArtifact(), Path.of(folder).toAbsolutePath().normalize());
      }
    }
  }

  private static void download(Channel channel, Artifact artifact, Path folder) throws Exception {
    for (ArtifactFile file : artifact.getFilesList()) {
      Path path = folder.resolve(file.getPath()).normalize();
      if (!path.startsWith(folder)) {
        throw new IOException(file.getPath() + " leads out of the folder");
      }
      Files.createDirectories(path.getParent());
      fetch(channel, artifact.getName(), file, path);
      System.out.println(file.getSha256() + " " + file.getPath());
    }
  }

  /** Downloads one file, going on from where a broken stream ended, and compares its digest. */
  private static void fetch(Channel channel, String artifact, ArtifactFile file, Path path) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    try (OutputStream target = new DigestOutputStream(Files.newOutputStream(path), digest)) {
      long offset = 0;
      while (offset < file.getSizeBytes()) {
        var request = DownloadArtifactRequest.newBuilder().setName(artifact).setPath(file.getPath()).setOffset(offset);
        try {
          var stream = ExportServiceGrpc.newBlockingStub(channel).downloadArtifact(request.build());
          while (stream.hasNext()) {
            var data = stream.next().getData();
            data.writeTo(target);
            offset += data.size();
          }
        } catch (StatusRuntimeException error) {
          Thread.sleep(Failures.retryDelay(error).orElseThrow(() -> error).toMillis());
        }
      }
    }
    String found = HexFormat.of().formatHex(digest.digest());
    if (!found.equals(file.getSha256())) {
      throw new IOException(file.getPath() + ": SHA-256 is " + found + " in place of " + file.getSha256());
    }
  }
}
