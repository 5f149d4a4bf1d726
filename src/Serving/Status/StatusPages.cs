using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Serving.Status;

/// <summary>The HTTP port: a page for people, JSON and Prometheus text for programs, a probe for supervisors.</summary>
public sealed class StatusPages(ServingStatus status, PrometheusText prometheus)
{
    private const string PageResource = "KdServing.Serving.Status.status.html";

    private static readonly byte[] Page = ReadPage();

    public Task HandleAsync(HttpContext context)
    {
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
            return Write(context, StatusCodes.Status405MethodNotAllowed, "text/plain", "only GET\n"u8.ToArray());
        // A report is of this moment.
        context.Response.Headers.CacheControl = "no-store";
        return context.Request.Path.Value switch
        {
            "/" => Write(context, StatusCodes.Status200OK, "text/html; charset=utf-8", Page),
            "/status.json" => Write(context, StatusCodes.Status200OK, "application/json", JsonSerializer.SerializeToUtf8Bytes(status.Report(), ContractJson.Options)),
            "/metrics" => Write(context, StatusCodes.Status200OK, "text/plain; version=0.0.4; charset=utf-8", System.Text.Encoding.UTF8.GetBytes(prometheus.Render())),
            "/healthz" => Health(context),
            _ => Write(context, StatusCodes.Status404NotFound, "text/plain", "not found; try /, /status.json, /metrics, /healthz\n"u8.ToArray()),
        };
    }

    private Task Health(HttpContext context)
    {
        var state = status.State;
        return Write(context, state == "serving" ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable,
            "text/plain", System.Text.Encoding.UTF8.GetBytes(state + "\n"));
    }

    private static async Task Write(HttpContext context, int code, string type, byte[] body)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    private static byte[] ReadPage()
    {
        using var stream = typeof(StatusPages).Assembly.GetManifestResourceStream(PageResource)
            ?? throw new InvalidOperationException($"resource {PageResource} is missing");
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
