import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;

/** Posts a form to each address with the JDK's HTTP client, with a Content-Length and in chunks. */
class Post {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] form = args[1].getBytes(StandardCharsets.UTF_8);
        for (int i = 2; i < args.length; i++) {
            BodyPublisher whole = BodyPublishers.ofByteArray(form);
            BodyPublisher chunks = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(form));
            for (BodyPublisher body : new BodyPublisher[] {whole, chunks, whole}) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(args[i]))
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .header("Authorization", args[0])
                    .header("X-Tenant", "acme")
                    .POST(body)
                    .build();
                var response = client.send(request, BodyHandlers.ofString());
                System.out.println(response.statusCode() + " " + response.body());
            }
        }
    }
}
