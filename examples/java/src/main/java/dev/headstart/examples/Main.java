package dev.headstart.examples;

import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.StatusRuntimeException;

/**
 * What a client in Java does: train, follow a job across restarts of the server, predict, export, and read what is wrong
 * with a request. All of it with gRPC's own defaults.
 */
final class Main {
  private static final String USAGE =
      """
      usage: HOST:PORT COMMAND ...
        train SPEC.yaml DATA
        typed DATA
        watch trainJobs/ID
        predict models/ID
        export models/ID FOLDER
        refused REQUEST COUNT""";

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 3) {
      System.err.println(USAGE);
      System.exit(2);
    }
    var channel = Grpc.newChannelBuilder(arguments[0], InsecureChannelCredentials.create()).build();
    try {
      run(channel, arguments[1], arguments[2], arguments.length > 3 ? arguments[3] : "");
    } catch (StatusRuntimeException error) {
      System.err.println(Failures.explain(error));
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }

  private static void run(Channel channel, String command, String first, String second) throws Exception {
    switch (command) {
      case "train" -> Training.train(channel, first, second);
      case "typed" -> Training.trainTyped(channel, first);
      case "watch" -> Training.watch(channel, first, 0);
      case "predict" -> Prediction.predict(channel, first);
      case "export" -> Exporting.export(channel, first, second);
      case "refused" -> Failures.refused(channel, first, Integer.parseInt(second));
      default -> System.err.println(USAGE);
    }
  }
}
