package dev.headstart.examples;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.headstart.v1.CreateTrainJobRequest;
import dev.headstart.v1.TrainingServiceGrpc;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/** Reads what a failed call says. */
final class Failures {
  /** After how long a call may be made again: as the server says, or a second where it cannot say anything. */
  static Optional<Duration> retryDelay(StatusRuntimeException error) {
    for (Any detail : details(error)) {
      if (detail.is(RetryInfo.class)) {
        var delay = unpacked(detail, RetryInfo.class).getRetryDelay();
        return Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
      }
    }
    boolean away = error.getStatus().getCode() == Status.Code.UNAVAILABLE;
    return away ? Optional.of(Duration.ofSeconds(1)) : Optional.empty();
  }

  /** What a person needs to know of an error. */
  static String explain(StatusRuntimeException error) {
    var lines = new StringBuilder(error.getStatus().getCode() + ": " + error.getStatus().getDescription());
    for (Any detail : details(error)) {
      if (detail.is(ErrorInfo.class)) {
        var info = unpacked(detail, ErrorInfo.class);
        lines.append("\nreason ").append(info.getReason()).append(' ').append(info.getMetadataMap());
      } else if (detail.is(BadRequest.class)) {
        for (var violation : unpacked(detail, BadRequest.class).getFieldViolationsList()) {
          lines.append("\nfield ").append(violation.getField()).append(": ").append(violation.getDescription());
        }
      } else if (detail.is(RetryInfo.class)) {
        lines.append("\nagain in ").append(retryDelay(error).orElseThrow());
      }
    }
    return lines.toString();
  }

  /** Sends a bad CreateTrainJobRequest again and again, and counts what comes back. */
  static void refused(Channel channel, String file, int count) throws Exception {
    var request = CreateTrainJobRequest.parseFrom(Files.readAllBytes(Path.of(file)));
    var answers = new TreeMap<String, Integer>();
    for (int call = 0; call < count; call++) {
      String answer = "OK";
      try {
        TrainingServiceGrpc.newBlockingStub(channel).createTrainJob(request);
      } catch (StatusRuntimeException error) {
        answer = explain(error);
      }
      answers.merge(answer, 1, Integer::sum);
    }
    answers.forEach((answer, times) -> System.out.println(times + " times\n" + answer));
  }

  private static List<Any> details(StatusRuntimeException error) {
    var status = StatusProto.fromThrowable(error);
    return status == null ? List.of() : status.getDetailsList();
  }

  private static <M extends com.google.protobuf.Message> M unpacked(Any detail, Class<M> kind) {
    try {
      return detail.unpack(kind);
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException("a detail of an error cannot be read", error);
    }
  }
}
