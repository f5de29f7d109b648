package dev.headstart.examples;

import dev.headstart.v1.CreateTrainJobRequest;
import dev.headstart.v1.DatasetSource;
import dev.headstart.v1.Encoder;
import dev.headstart.v1.Feature;
import dev.headstart.v1.TrainJobEvent;
import dev.headstart.v1.TrainJobRequest;
import dev.headstart.v1.TrainSpec;
import dev.headstart.v1.Trainer;
import dev.headstart.v1.TrainingServiceGrpc;
import dev.headstart.v1.WatchTrainJobRequest;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;

/** Creates jobs and follows them. */
final class Training {
  /** Longer than a server takes to restart. */
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  /** Creates a job from a file of YAML, drops the stream after the first event, and follows the job from there. */
  static void train(Channel channel, String spec, String data) throws Exception {
    var request =
        TrainJobRequest.newBuilder()
            .setRequestId(UUID.randomUUID().toString()) // with it, the call may be repeated: it creates one job
            .setSpecYaml(Files.readString(Path.of(spec)))
            .setDataset(DatasetSource.newBuilder().setPath(data))
            .build();
    TrainJobEvent first;
    try (var dropped = Context.current().withCancellation()) { // leaving it ends the stream: the job goes on
      first = dropped.call(() -> TrainingServiceGrpc.newBlockingStub(channel).trainJob(request).next().getEvent());
    }
    show(first);
    watch(channel, first.getJob(), first.getSequence());
  }

  /** Creates a job from a spec that the compiler has checked. */
  static void trainTyped(Channel channel, String data) throws InterruptedException {
    var encoder =
        Encoder.newBuilder()
            .setType("auto_transformer")
            .setPretrainedModelNameOrPath("sentence-transformers/all-MiniLM-L6-v2")
            .setTrainable(false);
    var spec =
        TrainSpec.newBuilder()
            .addInputFeatures(Feature.newBuilder().setName("review").setType("text").setEncoder(encoder))
            .addInputFeatures(Feature.newBuilder().setName("price").setType("number"))
            .addInputFeatures(Feature.newBuilder().setName("category").setType("category"))
            .addOutputFeatures(Feature.newBuilder().setName("recommended").setType("category"))
            .setTrainer(Trainer.newBuilder().setEpochs(3));
    var request =
        CreateTrainJobRequest.newBuilder()
            .setRequestId(UUID.randomUUID().toString())
            .setSpec(spec)
            .setDataset(DatasetSource.newBuilder().setPath(data))
            .putLabels("client", "java")
            .build();
    watch(channel, TrainingServiceGrpc.newBlockingStub(channel).createTrainJob(request).getName(), 0);
  }

  /** Follows a job to its end from after an event's number, whatever becomes of the stream meanwhile. */
  static void watch(Channel channel, String job, long after) throws InterruptedException {
    Instant heard = Instant.now();
    while (true) {
      try {
        var request = WatchTrainJobRequest.newBuilder().setName(job).setAfterSequence(after).setHeartbeatSeconds(20);
        var stream = TrainingServiceGrpc.newBlockingStub(channel).watchTrainJob(request.build());
        if (!stream.hasNext()) {
          return; // the job had ended, and all of its events are known
        }
        while (stream.hasNext()) {
          TrainJobEvent event = stream.next().getEvent();
          heard = Instant.now();
          after = event.getSequence();
          show(event);
          if (event.getTerminal()) {
            return;
          }
        }
        throw Status.UNAVAILABLE.withDescription("the stream ended before the job").asRuntimeException();
      } catch (StatusRuntimeException error) {
        Optional<Duration> wait = Failures.retryDelay(error);
        if (wait.isEmpty() || heard.plus(PATIENCE).isBefore(Instant.now())) {
          throw error;
        }
        var code = error.getStatus().getCode();
        System.out.printf("broken after %d by %s, again in %d ms%n", after, code, wait.get().toMillis());
        Thread.sleep(wait.get().toMillis());
      }
    }
  }

  /** Prints an event; kinds that are not known here, as a later server may send, are passed over. */
  private static void show(TrainJobEvent event) {
    switch (event.getEventCase()) {
      case HEARTBEAT -> {}
      case STATE_CHANGE -> {
        var change = event.getStateChange();
        print(event, "%s %s %s", event.getJob(), change.getState(), change.getError().getMessage());
      }
      case EPOCH_FINISHED -> {
        var epoch = event.getEpochFinished();
        print(event, "epoch %d %s", epoch.getEpoch(), epoch.getValidationMap());
      }
      case MODEL_PUBLISHED -> print(event, "published %s", event.getModelPublished().getModel());
      default -> print(event, "");
    }
  }

  private static void print(TrainJobEvent event, String format, Object... values) {
    System.out.println(event.getSequence() + " " + String.format(format, values));
  }
}
