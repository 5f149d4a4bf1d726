using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing.Onnx;

/// <summary>The three dense graphs of a version, cut at the embedding outputs; see <see cref="StudentSignature"/>.</summary>
public static class StudentGraphs
{
    /// <summary>user [U, UserWidth] → user_part [U, UserPartWidth].</summary>
    public static ModelProto UserEncoder(DenseStudent student)
    {
        var signature = student.Signature;
        var graph = new OnnxGraph("user_encoder");
        var user = graph.FloatInput(StudentSignature.User, "U", signature.UserWidth);
        var value = StudentLayers.AddUserEncoder(graph, student, user);
        graph.Output(value, StudentSignature.UserPart, "U", signature.UserPartWidth);
        return graph.ToModel();
    }

    /// <summary>item [N, ItemWidth] → item_vector [N, ItemVectorWidth].</summary>
    public static ModelProto ItemEncoder(DenseStudent student)
    {
        var signature = student.Signature;
        var graph = new OnnxGraph("item_encoder");
        var item = graph.FloatInput(StudentSignature.Item, "N", signature.ItemWidth);
        var value = StudentLayers.AddItemEncoder(graph, student, item);
        graph.Output(value, StudentSignature.ItemVector, "N", signature.ItemVectorWidth);
        return graph.ToModel();
    }

    /// <summary>user_part, row_of, item_vector, live → logits and scores [N, T].</summary>
    public static ModelProto Head(DenseStudent student)
    {
        var signature = student.Signature;
        var graph = new OnnxGraph("head");
        var userPart = graph.FloatInput(StudentSignature.UserPart, "U", signature.UserPartWidth);
        var rowOf = graph.Int64Input(StudentSignature.RowOf, "N");
        var itemVector = graph.FloatInput(StudentSignature.ItemVector, "N", signature.ItemVectorWidth);
        var live = signature.LiveWidth == 0 ? null : graph.FloatInput(StudentSignature.Live, "N", signature.LiveWidth);
        StudentLayers.AddHead(graph, student, userPart, rowOf, itemVector, live);
        return graph.ToModel();
    }
}
