package dev.headstart.examples;

import dev.headstart.v1.Column;
import dev.headstart.v1.DoubleValues;
import dev.headstart.v1.PredictRequest;
import dev.headstart.v1.PredictionServiceGrpc;
import dev.headstart.v1.StringValues;
import dev.headstart.v1.Table;
import io.grpc.Channel;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Asks a model. */
final class Prediction {
  /** Answers two rows, and gives up after half a minute. */
  static void predict(Channel channel, String model) {
    var prices = DoubleValues.newBuilder().addValues(20).addValues(35);
    var table =
        Table.newBuilder()
            .addColumns(strings("review", "Broke on day one.", "The best present I have given in years."))
            .addColumns(Column.newBuilder().setName("price").setDoubles(prices))
            .addColumns(strings("category", "garden", "travel"));
    var request = PredictRequest.newBuilder().setModel(model).setTable(table).setProbabilities(true).build();
    var stub = PredictionServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS);
    var output = stub.predict(request).getOutputs(0);
    int width = output.getClassesCount();
    for (int row = 0; row < output.getLabels().getValuesCount(); row++) {
      var probabilities = output.getProbabilitiesList().subList(row * width, (row + 1) * width);
      System.out.println(output.getLabels().getValues(row) + " " + output.getClassesList() + " " + probabilities);
    }
  }

  private static Column strings(String name, String... values) {
    var strings = StringValues.newBuilder().addAllValues(List.of(values));
    return Column.newBuilder().setName(name).setStrings(strings).build();
  }
}
